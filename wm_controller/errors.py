# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The two ways a command ends other than done: wrong input, and a negative result."""


class InputError(Exception):
    """Bad input; the message is one clear line that names thing and remedy (exit code 2)."""


class NegativeResult(Exception):
    """The work is done and its answer is no, a failed gate for example (exit code 1)."""
