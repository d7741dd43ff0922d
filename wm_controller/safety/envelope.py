# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The stopping envelope: how much of a command may pass so that the robot stops in time.

A command scaled by s drives its own curve for the reaction time and then brakes, v and w
together. Measured in seconds at the unscaled twist that is s * reaction + s^2 * braking / 2,
growing with s: the largest admissible scale is the root of a quadratic.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from wm_controller.safety.geometry import Floats, integrate, signed_distance, to_child
from wm_controller.safety.limits import Limits
from wm_controller.safety.sweep import contact_time, PROBE
from wm_controller.safety.tracking import Command

SPACING = 0.02
"""Points on the boundary of an area, m apart."""


def stopping_scale(contact_s: float, reaction_s: float, braking_s: float) -> float:
    """Largest scale in [0, 1] whose stopping envelope ends before a contact after contact_s."""
    if contact_s >= reaction_s + 0.5 * braking_s:
        return 1.0
    # The root without a cancellation, and without a division by what may be zero.
    root = math.sqrt(reaction_s ** 2 + 2.0 * braking_s * contact_s)
    return min(1.0, 2.0 * contact_s / max(reaction_s + root, 1e-12))


def clear_scale(limits: Limits, command: Command, points: ArrayLike,
                deceleration: float | None = None) -> float:
    """How much of the command keeps the points (N, 2), base frame, out of its envelope, 0..1.

    `deceleration`: braking more gently than the limits allow, m/s^2.
    """
    braking = limits.braking_time(command.v, command.w)
    if deceleration is not None:
        braking = max(braking, abs(command.v) / deceleration)
    horizon = limits.reaction_time_s + 0.5 * braking
    contact = contact_time(
        limits.outline, command.v, command.w, points, limits.margin, horizon)
    return stopping_scale(contact, limits.reaction_time_s, braking)


def can_still_stop(limits: Limits, moving: Command, points: ArrayLike) -> bool:
    """Whether braking right now from the measured motion ends before the points (N, 2)."""
    braking = limits.braking_time(moving.v, moving.w)
    contact = contact_time(
        limits.outline, moving.v, moving.w, points, limits.margin, 0.5 * braking)
    return contact > 0.5 * braking


def boundary(polygon: Floats) -> Floats:
    """Points (N, 2) along the edges of a polygon (V, 2), at most SPACING apart."""
    parts = []
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0)):
        count = max(2, math.ceil(float(np.hypot(*(end - start))) / SPACING))
        parts.append(start + np.linspace(0.0, 1.0, count, endpoint=False)[:, None] * (end - start))
    return np.concatenate(parts)


def area_scale(
        limits: Limits, command: Command, pose: Floats, polygon: Floats, edge: Floats,
        inside: bool) -> float:
    """How much of the command keeps to one side of a polygon (V, 2) with boundary points (N, 2).

    On the wrong side only the way back is free: what does not lead further from the right one.
    """
    def wrong(at: Floats) -> float:
        distance = float(signed_distance(polygon, at[:2])[0])
        return distance if inside else -distance

    now = wrong(pose)
    if now > 0.0:
        speed = abs(command.v) + abs(command.w) * limits.outline.reach
        moved = integrate(pose, command.v, command.w, PROBE / max(speed, PROBE))
        return 1.0 if wrong(moved) <= now + 1e-9 else 0.0
    return clear_scale(limits, command, to_child(pose, edge))
