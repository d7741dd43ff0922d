# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a check of the doctor says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OK, WARN, FIX, NOT_SEEN = 'ok', 'warn', 'fix', 'not seen'
VERDICTS = (FIX, WARN, NOT_SEEN, OK)
"""The worst first."""


@dataclass(frozen=True)
class Finding:
    """One row: `check`, what was `seen`, the `verdict`, and, unless it is ok, what to do."""

    check: str
    verdict: str
    seen: str
    advice: str = ''
    figures: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The row as `wm doctor --json` gives it."""
        return {'check': self.check, 'verdict': self.verdict, 'seen': self.seen,
                'advice': self.advice, 'figures': dict(self.figures)}


def worst(verdicts: Mapping[str, str]) -> tuple[str, str]:
    """Advice and verdict of the worst of `{advice: verdict}`; nothing wrong: '' and ok."""
    for verdict in (FIX, WARN):
        for advice, each in verdicts.items():
            if each == verdict:
                return advice, verdict
    return '', OK
