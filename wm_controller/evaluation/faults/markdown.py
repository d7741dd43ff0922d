# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The fault table as a page of the documentation, and as a file of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

INTRODUCTION = """# Faults, and what comes of them

Made by `wm faults --markdown docs/faults.md`; do not edit it. Every row runs over real processes:
the simulated robot, the guardrail, the controller with the model, and a man in the middle of the
robot's sensors (`fault_injector`). The robot drives to a goal by camera; then the fault is
injected. *Reaction* is the time from the injection to what is expected, of each run: for what
stops the robot, until the wheels are told to stand for good, braking included. It counts in
steady time at the observer; commands are timed by their sender.

A row passes when every run reacts as expected and in time, when the robot drives again after the
fault is lifted and an operator has enabled autonomy, and when meanwhile no promise was broken:
`cmd_vel` finite, within the limits of speed, acceleration and braking, at 80 % of its rate or more
with no gap over 0.2 s (unless the guardrail is what was killed), and no contact at which the robot
itself drove faster than 0.1 m/s.

The guardrail runs with `scan_required` and `scan_min_returns` 1, as a robot with a laser indoors
should, and the controller with
`plan_time_s` 0.04, to leave room for those who watch; all else is `config/robot.yaml`. A base is
assumed to stop by itself when `cmd_vel` falls silent, for the time in which no guardrail runs; the
simulated one does not, as Gazebo's does not, and a contact in that time is not counted.
"""


def as_markdown(rows: Sequence[Mapping[str, Any]], conditions: str) -> str:
    """The page, of rows as `Row.as_dict` gives them."""
    lines = [INTRODUCTION, conditions, '',
             '| fault | injected | expected | limit, s | reaction, s | |',
             '|---|---|---|---:|---:|---|']
    for row in rows:
        times = ' '.join('–' if t is None else f'{t:.2f}' for t in row['reactions_s'])
        lines.append(f'| `{row["fault"]}` | {row["injected"]} | {row["expected"]} | '
                     f'{row["limit_s"]:g} | {times} | {"passed" if row["passed"] else "FAILED"} |')
    failed = [row for row in rows if not row['passed']]
    if failed:
        lines += ['', 'What failed:', '']
        lines += [f'- `{row["fault"]}`: {"; ".join(row["wrong"])}' for row in failed]
    return '\n'.join(lines) + '\n'
