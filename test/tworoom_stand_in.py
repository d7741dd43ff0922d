# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Answers as `tworoom_program` does, without the package that it needs."""

import json
from pathlib import Path
import sys

from wm_controller.evaluation.tworoom_pipe import send

request = json.loads(sys.argv[-1])
if request['verb'] == 'collect':
    Path(request['path']).write_bytes(b'recorded')
    result = {'path': request['path']}
else:
    count = request['episodes']
    result = {'successes': [request['policy']['name'] == 'straight'] * count, 'cpu_s': 1.0,
              'episode': [0] * count, 'start': list(range(count)), 'plan_cpu_s': []}
send(sys.stdout.buffer, {'result': result})
