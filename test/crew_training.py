# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A run of seconds, as each process of a `torchrun` does it: OUTPUT DATA STEPS [BATCH]."""

from pathlib import Path
import sys

from tiny_training import quiet, TINY, tiny_options
from wm_controller.cli.common import reports_errors
from wm_controller.training.loop import train
from wm_controller.training.objective import Weights


def crew_options(output, steps, batch=8):
    """Nothing random but the batches; the time to reach is a mean over what is known of a share.

    A checkpoint is kept after each iteration.
    """
    return tiny_options(output.parent, TINY, steps, output=output, batch=batch,
                        weights=Weights(time_to_reach=0), checkpoint_every_s=0.0)


@reports_errors
def run(output, data, steps, batch='8'):
    gates = train([Path(data)], crew_options(Path(output), int(steps), int(batch)), quiet)
    print('gates' if gates else 'no gates')


if __name__ == '__main__':
    try:
        run(*sys.argv[1:])
    except Exception as error:
        sys.exit(getattr(error, 'exit_code', 1))
