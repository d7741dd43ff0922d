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
    starts = list(range(request['first'],
                        min(request['first'] + request['count'], request['episodes'])))
    result = {'successes': [request['policy']['name'] == 'straight'] * len(starts),
              'episode': [0] * len(starts), 'start': starts, 'plan_cpu_s': [], 'cpu_s': 1.0}
send(sys.stdout.buffer, {'result': result})
