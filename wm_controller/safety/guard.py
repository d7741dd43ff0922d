# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The guard: what was heard last, who may command, and the guardrails over it.

Time is an argument. Watchdogs and the guard's own pace run on steady time; the age of data counts
in ROS time too. In simulated time a second of motion is a second of ROS time, unless that clock
stands still.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from wm_controller.safety.geometry import as_points, Floats, integrate, to_child
from wm_controller.safety.guardrails import apply, edged, State
from wm_controller.safety.inputs import all_finite, Seen, stamp_fault
from wm_controller.safety.limits import InvalidLimit, Limits
from wm_controller.safety.motion import Track
from wm_controller.safety.tracking import Command, throttle_after, ZERO

SOURCES = ('auto', 'teleop')
JUMP_S = 0.05
"""ROS time going back further than this is a jump."""
STALLED_S = 0.25
"""Simulated time that stands still for so long (steady s) no longer paces the brakes."""
LONGEST_STEP_S = 0.25
"""The speed changes by no more than is allowed in so long, however late a step comes."""
SURPRISED_S = 0.3
"""Surprise above `surprise_hold` for so long (steady s) holds the robot."""


@dataclass(frozen=True)
class Verdict:
    """What goes to the wheels, and why. `limit` is the share of the command let through, 0..1."""

    v: float
    w: float
    mode: str
    source: str
    reasons: tuple[str, ...]
    limit: float


@dataclass
class _Heard:
    """What was heard since ROS time last went back."""

    commands: dict[str, tuple[Command, Seen]] = field(default_factory=dict)
    odometry: Track = field(default_factory=Track)
    odom_seen: Seen | None = None
    scan_seen: Seen | None = None
    points: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    sees_m: float = np.inf
    surprise_received: float = -np.inf
    surprised_since: float = np.inf
    commanded: Track = field(default_factory=Track)
    place: Floats = field(default_factory=lambda: np.zeros(3))
    clock_lost: bool = False


class Guard:
    """Between every command source and the wheels. Stamps and now_ros are ROS seconds."""

    def __init__(self, limits: Limits, simulated_time: bool = False) -> None:
        self.dropped: Counter[tuple[str, str]] = Counter()
        self.emergency_stop = False
        self.autonomy = limits.autonomy_on_start
        self.surprise = 0.0
        self.surprise_held = False
        self._simulated_time = simulated_time
        self._last = ZERO
        self._throttle = 0.0
        self._stepped_ros = self._stepped_steady = self._advanced_steady = -np.inf
        self._pressed: dict[str, float] = {}
        self._latest_ros = 0.0
        self._heard = _Heard()
        self.limits = limits

    @property
    def limits(self) -> Limits:
        """The limits in force; may be replaced at any time."""
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._limits = limits
        self._geofence = edged(limits.geofence_polygons)
        self._keep_out = edged(limits.keep_out_polygons)

    def drop(self, topic: str, cause: str) -> str:
        """Count a message that does not count, and return the cause."""
        self.dropped[topic, cause] += 1
        return cause

    def note_pressed(self, source: str, v: float, w: float, now_steady: float) -> None:
        """Remember whether a source asks for motion, also where its message does not count."""
        if v == 0.0 and w == 0.0:
            self._pressed.pop(source, None)
        else:
            self._pressed[source] = now_steady

    def on_command(
            self, source: str, v: float, w: float, stamp: float, now_ros: float,
            now_steady: float) -> str | None:
        """Take a command of 'auto' or 'teleop'; return why it was dropped, or None."""
        self._notice_jump(now_ros)
        topic = f'cmd_vel_{source}'
        self.note_pressed(source, v, w, now_steady)
        if not all_finite((v, w)):
            return self.drop(topic, 'not_finite')
        seen = self._heard.commands.get(source)
        fault = stamp_fault(stamp, now_ros, seen[1] if seen else None)
        if fault:
            return self.drop(topic, fault)
        when = seen[1].then(stamp, now_steady) if seen else Seen(stamp, now_steady)
        self._heard.commands[source] = (Command(v, w), when)
        self._heard.clock_lost = False
        if source == 'teleop' and self._fresh(source, now_ros, now_steady):
            self.autonomy = False
        return None

    def on_odometry(
            self, pose: ArrayLike, twist: tuple[float, float], stamp: float, now_ros: float,
            now_steady: float) -> str | None:
        """Take a pose (3,) in the odometry frame and a twist (v, w); return why it was dropped."""
        self._notice_jump(now_ros)
        place = np.asarray(pose, float)
        if not all_finite((*place, *twist)):
            return self.drop('odom', 'not_finite')
        fault = stamp_fault(stamp, now_ros, self._heard.odom_seen)
        if fault:
            return self.drop('odom', fault)
        self._heard.odom_seen = self._next(self._heard.odom_seen, stamp, now_steady)
        self._heard.odometry.add(stamp, place, (float(twist[0]), float(twist[1])))
        return None

    def on_scan(
            self, points: ArrayLike, stamp: float, now_ros: float, now_steady: float,
            sees_m: float = np.inf) -> str | None:
        """Take points (N, 2), base frame at the stamp, of a sensor seeing `sees_m` from there."""
        self._notice_jump(now_ros)
        seen = as_points(points)
        if not np.isfinite(seen).all():
            return self.drop('scan', 'not_finite')
        fault = stamp_fault(stamp, now_ros, self._heard.scan_seen)
        if fault:
            return self.drop('scan', fault)
        self._heard.scan_seen = self._next(self._heard.scan_seen, stamp, now_steady)
        self._heard.points, self._heard.sees_m = seen, sees_m
        return None

    def on_surprise(self, value: float, now_steady: float) -> str | None:
        """Take the calibrated surprise, 0..1; return why it was dropped, or None."""
        if not 0.0 <= value <= 1.0:
            return self.drop('surprise', 'not_finite' if value != value else 'out_of_range')
        self._heard.surprise_received, self.surprise = now_steady, value
        if value <= self.limits.surprise_hold:
            self._heard.surprised_since = np.inf
        elif self._heard.surprised_since == np.inf:
            self._heard.surprised_since = now_steady
        return None

    def on_emergency_stop(self, pressed: bool) -> None:
        """Latch the emergency stop if it is pressed; a release does nothing."""
        if pressed:
            self.emergency_stop = True
            self.autonomy = False

    def reset(self, now_steady: float | None = None) -> tuple[bool, str]:
        """Clear the emergency stop: done, and a line for the operator."""
        now = self._stepped_steady if now_steady is None else now_steady
        for source, pressed in self._pressed.items():
            if now - pressed <= self._timeout(source):
                return False, f'refused: {source} commands motion; let go first'
        self.emergency_stop = False
        return True, 'reset; autonomy waits for ~/enable' if not self.autonomy else 'reset'

    def enable(self, allowed: bool, now_ros: float, now_steady: float) -> tuple[bool, str]:
        """Allow or forbid autonomy: done, and a line for the operator."""
        if allowed and self.emergency_stop:
            return False, 'refused: the emergency stop is latched; ~/reset first'
        if allowed and self._fresh('teleop', now_ros, now_steady):
            return False, 'refused: teleop is in command; let go first'
        self.autonomy = allowed
        if allowed:
            self.surprise_held, self._heard.surprised_since = False, np.inf
        return True, 'autonomy on' if allowed else 'autonomy off'

    def step(self, now_ros: float, now_steady: float) -> Verdict:
        """Decide the command of this moment. Call it at a fixed rate and on every event."""
        self._notice_jump(now_ros)
        dt_s = self._elapsed(now_ros, now_steady)
        self._watch_surprise(now_steady)
        self._heard.commanded.add(now_ros, self._heard.place, (self._last.v, self._last.w))
        mode, source, request, stale = self._arbitrate(now_ros, now_steady)
        state = self._state(now_ros, now_steady, dt_s, source, stale)
        command, reasons, limit = apply(state, request)
        self._throttle = (
            throttle_after(self._last, command, dt_s) if dt_s > 0.0 else self._throttle)
        self._last = command
        return Verdict(command.v, command.w, mode, source, reasons, limit)

    def _arbitrate(self, now_ros: float, now_steady: float) -> tuple[str, str, Command, bool]:
        """Return the mode, the source in command, what it asks for, and whether that has aged."""
        if self._fresh('teleop', now_ros, now_steady):
            mode, source = 'teleop', 'teleop'
        elif self.autonomy:
            mode, source = 'auto', 'auto'
        else:
            mode, source = 'hold', 'teleop'
        command, _ = self._heard.commands.get(source, (ZERO, None))
        fresh = self._fresh(source, now_ros, now_steady)
        stale = not fresh and not command.is_zero()
        if self.emergency_stop:
            mode = 'stopped'
        return mode, source if fresh else 'none', command, stale

    def _state(
            self, now_ros: float, now_steady: float, dt_s: float, source: str,
            stale: bool) -> State:
        timeout = self.limits.sensor_timeout_s
        odom_fresh = self._heard.odom_seen is not None and (
            self._heard.odom_seen.age(now_ros, now_steady) <= timeout)
        scan_fresh = self._heard.scan_seen is not None and (
            self._heard.scan_seen.age(now_ros, now_steady) <= timeout)
        points = None
        if scan_fresh and self._heard.scan_seen is not None:
            track = self._heard.odometry if odom_fresh else self._heard.commanded
            moved = track.moved(self._heard.scan_seen.stamp, now_ros)
            points = to_child(moved, self._heard.points)
        surprise_fresh = now_steady - self._heard.surprise_received <= timeout
        return State(
            limits=self.limits, dt_s=dt_s, last=self._last, throttle=self._throttle,
            source=source, emergency_stop=self.emergency_stop,
            clock_lost=self._heard.clock_lost or now_ros <= 0.0, command_stale=stale,
            autonomy_off=not self.autonomy and source != 'teleop',
            odom_stale=self.limits.odom_required and not odom_fresh,
            scan_stale=self.limits.scan_required and not scan_fresh,
            sight_too_short=scan_fresh and self._short_sighted(),
            surprise=self.surprise if surprise_fresh else 0.0, surprise_held=self.surprise_held,
            points=points,
            measured=Command(*self._heard.odometry.twist) if odom_fresh else None,
            pose=self._heard.odometry.at(now_ros) if odom_fresh else None,
            geofence=self._geofence, keep_out=self._keep_out)

    def _short_sighted(self) -> bool:
        try:
            self.limits.check_sight(self._heard.sees_m)
        except InvalidLimit:
            return True
        return False

    def _watch_surprise(self, now_steady: float) -> None:
        fresh = now_steady - self._heard.surprise_received <= self.limits.sensor_timeout_s
        if self.autonomy and fresh and now_steady - self._heard.surprised_since >= SURPRISED_S:
            self.surprise_held, self.autonomy = True, False

    def _timeout(self, source: str) -> float:
        return self.limits.auto_timeout_s if source == 'auto' else self.limits.teleop_timeout_s

    def _fresh(self, source: str, now_ros: float, now_steady: float) -> bool:
        command = self._heard.commands.get(source)
        return command is not None and (
            command[1].age(now_ros, now_steady) <= self._timeout(source))

    @staticmethod
    def _next(previous: Seen | None, stamp: float, received: float) -> Seen:
        return previous.then(stamp, received) if previous else Seen(stamp, received)

    def _elapsed(self, now_ros: float, now_steady: float) -> float:
        """Seconds of motion since the last step, and where the commands have led meanwhile."""
        if self._stepped_steady == -np.inf:
            self._stepped_ros, self._stepped_steady = now_ros, now_steady
        if now_ros > self._stepped_ros:
            self._advanced_steady = now_steady
        paced_by_ros = self._simulated_time and now_steady - self._advanced_steady < STALLED_S
        dt_s = (now_ros - self._stepped_ros if paced_by_ros
                else now_steady - self._stepped_steady)
        dt_s = min(max(dt_s, 0.0), LONGEST_STEP_S)
        self._heard.place = integrate(self._heard.place, self._last.v, self._last.w, dt_s)
        self._stepped_ros, self._stepped_steady = now_ros, now_steady
        return dt_s

    def _notice_jump(self, now_ros: float) -> None:
        if now_ros < self._latest_ros - JUMP_S:
            # What was heard in the old time is gone; only what the operator decided stays.
            self._heard = _Heard(clock_lost=True)
            self._latest_ros = self._stepped_ros = now_ros
            self._advanced_steady = -np.inf  # the brakes do not wait for the new time
        self._latest_ros = max(self._latest_ros, now_ros)
