# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Promises that no fault may break, looked for in what reached the wheels.

`cmd_vel` finite and within the limits of speed, acceleration and braking; at its rate without a
gap; and no contact at which the robot itself drives. Clocks of processes jitter: changes of speed
are judged over windows, with a slack that is less than what a broken limit would show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import yaml

from wm_controller.evaluation.faults.record import Command, Record
from wm_controller.resources import find_config

RATE_SHARE, LONGEST_GAP_S = 0.8, 0.2
CONTACT_M_S = 0.1
BEFORE_CONTACT_S = 0.15
STOPPING_S = 0.5
WINDOW_S, SLACK_S = 0.25, 0.04  # stopping from full speed takes 0.17 s
REPORTED_S = 1.2  # diagnostics come once a second
LONGEST_STEP_S = 0.25  # the guardrail counts no step as longer


@dataclass(frozen=True)
class Limits:
    """What `config/robot.yaml` holds the robot to; m, s, rad."""

    rate: float
    max_linear_velocity: float
    min_linear_velocity: float
    max_angular_velocity: float
    max_linear_acceleration: float
    max_linear_deceleration: float
    max_angular_acceleration: float

    @classmethod
    def of_robot(cls) -> Limits:
        """Read them where the nodes do."""
        sections = yaml.safe_load(find_config('robot').read_text(encoding='utf-8'))
        given: dict[str, float] = {}
        for section in ('/**', '/**/guardrail'):
            given |= sections[section]['ros__parameters']
        return cls(**{name: float(given[name]) for name in cls.__dataclass_fields__})


def broken(record: Record, since: float, until: float, limits: Limits,
           guarded: bool = True) -> list[str]:
    """Lines that name each promise broken from `since` to `until`, and how.

    `guarded`: the guardrail ran all the time, so that its rate counts, and every contact.
    """
    commands = [c for c in list(record.commands) if since <= c.sent <= until]
    silences = [] if guarded else _silences(commands, since)
    found = _bounds(commands, limits) if commands else []
    for stretch in _stretches(commands, silences):
        found += _changes(stretch, limits)
    if guarded:
        found += _rate(record, commands, since, until, limits)
    return found + _contacts(record, since, until, silences)


def _bounds(commands: Sequence[Command], limits: Limits) -> list[str]:
    v, w = np.array([(c.v, c.w) for c in commands]).T
    if not (np.isfinite(v).all() and np.isfinite(w).all()):
        return ['cmd_vel was not finite']
    small = 1e-6
    if v.max() > limits.max_linear_velocity + small or (
            v.min() < limits.min_linear_velocity - small) or (
            np.abs(w).max() > limits.max_angular_velocity + small):
        return [f'cmd_vel out of limits: v {v.min():.3g} to {v.max():.3g} m/s, '
                f'w up to {np.abs(w).max():.3g} rad/s']
    return []


def _changes(commands: Sequence[Command], limits: Limits) -> list[str]:
    """Judge changes over up to WINDOW_S, by steady or by ROS time, whichever grants more."""
    table = np.array([(c.sent, c.stamp, c.v, c.w) for c in commands])
    if len(table) < 2 or not np.isfinite(table).all():
        return []
    steps = np.diff(table[:, :2], axis=0).clip(0.0, LONGEST_STEP_S).max(axis=1)
    passed = np.concatenate([[0.0], np.cumsum(steps)])
    worst: dict[str, float] = {}
    for lag in range(1, len(table)):
        allowed = passed[lag:] - passed[:-lag] + SLACK_S
        near = allowed <= WINDOW_S + SLACK_S
        if not near.any():
            break
        before, after = table[:-lag][near], table[lag:][near]
        speed = np.abs(after[:, 2]) - np.abs(before[:, 2])
        rates = {
            'acceleration': speed / allowed[near] / limits.max_linear_acceleration,
            'braking': -speed / allowed[near] / limits.max_linear_deceleration,
            'turning acceleration': np.abs(after[:, 3] - before[:, 3]) / allowed[near]
            / limits.max_angular_acceleration,
        }
        for name, shares in rates.items():
            worst[name] = max(worst.get(name, 0.0), float(shares.max()))
    return [f'cmd_vel exceeds the limit of {name} {share:.2f} times'
            for name, share in worst.items() if share > 1.0]


def _rate(record: Record, commands: Sequence[Command], since: float, until: float, limits: Limits
          ) -> list[str]:
    times = np.array([since, *sorted(c.sent for c in commands), until])
    steps, wanted = np.diff(times), limits.rate * (until - since)
    gap, at = float(steps.max()), float(times[steps.argmax()])
    found = []
    if gap > LONGEST_GAP_S:
        found.append(f'cmd_vel had a gap of {gap:.2f} s, {at - since:.1f} s after the beginning '
                     f'({_beside(record, at, gap)})')
    if len(commands) < RATE_SHARE * wanted:
        found.append(f'cmd_vel came at {len(commands) / wanted:.0%} of its rate')
    return found


def _beside(record: Record, at: float, gap: float) -> str:
    """What else is known of a gap: was it the guardrail that paused, or the whole machine?"""
    told = [float(s.values['longest_gap_ms']) for s in list(record.diagnostics)
            if 'longest_gap_ms' in s.values and at < s.at < at + gap + REPORTED_S]
    heard = np.array([t.at for t in list(record.truth) if abs(t.at - at) < REPORTED_S + gap])
    return (f'the guardrail says {max(told):.0f} ms' if told else 'the guardrail says nothing') + (
        f'; the robot was silent for {np.diff(heard).max():.2f} s' if len(heard) > 1 else '')


def _silences(commands: Sequence[Command], since: float) -> list[tuple[float, float]]:
    """When nobody commanded, and the time to stop after it: a base has to stop by itself then."""
    sent = [c.sent for c in commands]
    return [(before, after + STOPPING_S) for before, after in zip([since, *sent], sent)
            if after - before > LONGEST_GAP_S]


def _stretches(commands: Sequence[Command], silences: Sequence[tuple[float, float]]
               ) -> list[list[Command]]:
    """Between silences: who commands after one does not know what was commanded before it."""
    ends = [-np.inf, *(began for began, _ in silences), np.inf]
    return [[c for c in commands if low < c.sent <= high] for low, high in zip(ends, ends[1:])]


def _contacts(record: Record, since: float, until: float,
              silences: Sequence[tuple[float, float]]) -> list[str]:
    bumps, truth = list(record.bumps), list(record.truth)
    found = []
    for (_, before), (at, after) in zip(bumps, bumps[1:]):
        silent = any(low <= at <= high for low, high in silences)
        if after > before and since <= at <= until and not silent:
            near = [t for t in truth if at - BEFORE_CONTACT_S <= t.at <= at]
            speed = max((abs(t.v) for t in near), default=0.0)
            if speed > CONTACT_M_S:
                x, y, _ = near[-1].pose
                found.append(f'contact while driving at {speed:.2f} m/s, {at - since:.1f} s after '
                             f'the beginning, at {x:.2f} {y:.2f} m from the start')
    return found
