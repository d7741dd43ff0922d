# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The guard: what was heard last, who may command, and the guardrails over it.

Time is an argument. Watchdogs and the guard's own pace run on steady time; the age of data counts
in ROS time too. In simulated time a second of motion is a second of ROS time, unless that clock
stands still.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from wm_controller.safety.geometry import as_points, integrate, to_child
from wm_controller.safety.guardrails import apply, edged, State
from wm_controller.safety.heard import Heard
from wm_controller.safety.inputs import all_finite, is_fresh, Seen, stamp_fault
from wm_controller.safety.limits import InvalidLimit, Limits
from wm_controller.safety.modes import Mode, ModeMachine
from wm_controller.safety.monitors import Slip, Stuck
from wm_controller.safety.tracking import Command, throttle_after, ZERO
from wm_controller.safety.view import View

SOURCES = ('auto', 'teleop')
JUMP_S = 0.05
"""ROS time going back further than this is a jump."""
STALLED_S = 0.25
"""Simulated time that stands still for so long (steady s) no longer paces the brakes."""
LONGEST_STEP_S = 0.25
"""The speed changes by no more than is allowed in so long, however late a step comes."""
ALARMED_S = 0.3
"""Surprise above `surprise_hold`, or tilt above `max_tilt`, for so long (s) holds the robot."""
REACTION_STEP_S, LONGEST_REACTION_S = 0.02, 2.0


@dataclass(frozen=True)
class Verdict:
    """What goes to the wheels, and why. `limit` is the share of the command let through, 0..1.

    `because` says in words why the mode is what it is.
    """

    v: float
    w: float
    mode: str
    source: str
    reasons: tuple[str, ...]
    limit: float
    because: str = ''


class Guard:
    """Between every command source and the wheels. Stamps and now_ros are ROS seconds."""

    def __init__(self, limits: Limits, simulated_time: bool = False) -> None:
        self.dropped: Counter[tuple[str, str]] = Counter()
        self.modes = ModeMachine(limits.autonomy_on_start)
        self.surprise = 0.0
        self.speed_scale = 1.0
        self._stuck, self._slip, self._operator_stuck = Stuck(), Slip(), False
        self._motion_s = 0.0  # a clock that counts seconds of motion
        self._simulated_time = simulated_time
        self._last = ZERO
        self._throttle = 0.0
        self._stepped_ros = self._stepped_steady = self._advanced_steady = -np.inf
        self._pressed: dict[str, float] = {}
        self._latest_ros = 0.0
        self._heard = Heard()
        self.limits = limits

    @property
    def limits(self) -> Limits:
        """The limits in force; may be replaced at any time."""
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._limits = self._in_force = limits
        self._geofence = edged(limits.areas.geofence)
        self._keep_out = edged(limits.areas.keep_out)

    @property
    def emergency_stop(self) -> bool:
        """Whether the emergency stop is latched."""
        return self.modes.mode is Mode.STOPPED

    @property
    def autonomy(self) -> bool:
        """Whether the planner may command."""
        return self.modes.mode is Mode.AUTO

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
            self.modes.on('take_over')
        return None

    def on_odometry(
            self, pose: ArrayLike, twist: tuple[float, float], stamp: float, now_ros: float,
            now_steady: float, tilt: float = 0.0) -> str | None:
        """Take a pose (3,) in the odometry frame and a twist (v, w); return why it was dropped.

        `tilt`: the angle (rad) of the base's vertical to that of the odometry frame.
        """
        self._notice_jump(now_ros)
        place = np.asarray(pose, float)
        if not all_finite((*place, *twist, tilt)):
            return self.drop('odom', 'not_finite')
        fault = stamp_fault(stamp, now_ros, self._heard.odom_seen)
        if fault:
            return self.drop('odom', fault)
        if not self._heard.take_odometry(stamp, now_steady, place, twist, tilt, self.limits):
            return self.drop('odom', 'jump')
        return None

    def on_scan(
            self, points: ArrayLike, stamp: float, now_ros: float, now_steady: float,
            sees_m: float = np.inf, view: View | None = None) -> str | None:
        """Take points (N, 2), base frame at the stamp, of a sensor seeing `sees_m` from there.

        `view`: where it looks; all round where that is not told.
        """
        self._notice_jump(now_ros)
        seen = as_points(points)
        if not np.isfinite(seen).all():
            return self.drop('scan', 'not_finite')
        if len(seen) < self.limits.scan_min_returns:
            return self.drop('scan', 'too_few_returns')
        fault = stamp_fault(stamp, now_ros, self._heard.scan_seen)
        if fault:
            return self.drop('scan', fault)
        self._heard.take_scan(
            stamp, now_ros, now_steady, seen, sees_m, view, self.limits.sensor_timeout_s)
        return None

    def on_speed_scale(self, share: float) -> str | None:
        """Take a share of the velocity limits, 0..1, in force until the next one."""
        if not 0.0 <= share <= 1.0:
            return self.drop('speed_scale', 'not_finite' if share != share else 'out_of_range')
        self.speed_scale = share
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
            self.modes.on('stop')

    def end(self) -> None:
        """Stop for good, because nobody will be here to decide."""
        self.modes.on('end')

    def reset(self, now_steady: float | None = None) -> tuple[bool, str]:
        """Clear the emergency stop: done, and a line for the operator."""
        now = self._stepped_steady if now_steady is None else now_steady
        for source, pressed in self._pressed.items():
            if now - pressed <= self._timeout(source):
                return False, f'refused: {source} commands motion; let go first'
        self.modes.on('reset')
        return True, 'reset; autonomy waits for ~/enable' if not self.autonomy else 'reset'

    def enable(self, allowed: bool, now_ros: float, now_steady: float) -> tuple[bool, str]:
        """Allow or forbid autonomy: done, and a line for the operator."""
        if allowed and self.emergency_stop:
            return False, 'refused: the emergency stop is latched; ~/reset first'
        if allowed and self._fresh('teleop', now_ros, now_steady):
            return False, 'refused: teleop is in command; let go first'
        self._notice_release(now_ros, now_steady)
        self.modes.on('enable' if allowed else 'disable')
        if allowed:
            self._heard.surprised_since = np.inf
        return True, 'autonomy on' if allowed else 'autonomy off'

    def measure(self) -> dict[str, float]:
        """Figures for people: the reaction time as measured, s. Call it about once a second."""
        reaction = self._heard.reaction
        base_s = reaction.measure_base()
        return {'reaction_s': self._in_force.reaction_time_s, 'scan_s': reaction.scan_s,
                **({} if base_s is None else {'base_delay_s': base_s})}

    def step(self, now_ros: float, now_steady: float) -> Verdict:
        """Decide the command of this moment. Call it at a fixed rate and on every event."""
        self._notice_jump(now_ros)
        dt_s = self._elapsed(now_ros, now_steady)
        self._heard.commanded.add(now_ros, self._heard.place, (self._last.v, self._last.w))
        self._heard.reaction.on_command(now_ros, self._last)
        self._notice_release(now_ros, now_steady)
        self._notice_reaction()
        odom_fresh = is_fresh(
            self._heard.odom_seen, now_ros, now_steady, self.limits.sensor_timeout_s)
        self._watch_surprise(now_steady)
        tilted = self._watch_tilt(odom_fresh, now_steady)
        slipping = self._watch_motion(dt_s, odom_fresh)
        source, request, stale = self._arbitrate(now_ros, now_steady)
        if request.is_zero() or self.modes.mode is not Mode.TELEOP:
            self._operator_stuck = False
        state = self._state(
            now_ros, now_steady, odom_fresh, dt_s=dt_s, source=source, command_stale=stale,
            autonomy_off=not self.autonomy and source != 'teleop', tilted=tilted,
            slipping=slipping, stuck=self._operator_stuck)
        command, reasons, limit = apply(state, request)
        self._throttle = (
            throttle_after(self._last, command, dt_s) if dt_s > 0.0 else self._throttle)
        self._last = command
        return Verdict(command.v, command.w, self.modes.mode.value, source, reasons, limit,
                       self.modes.because)

    def _notice_release(self, now_ros: float, now_steady: float) -> None:
        if not self._fresh('teleop', now_ros, now_steady):
            self.modes.on('let_go')

    def _notice_reaction(self) -> None:
        """Believe a measured reaction time that is longer than the one that was set."""
        measured = self._heard.reaction.total_s
        if measured:
            measured = REACTION_STEP_S * math.ceil(
                (measured + 1.0 / self.limits.rate) / REACTION_STEP_S)
        reaction_s = min(max(self.limits.reaction_time_s, measured), LONGEST_REACTION_S)
        if reaction_s != self._in_force.reaction_time_s:
            self._in_force = replace(self.limits, reaction_time_s=reaction_s)

    def _arbitrate(self, now_ros: float, now_steady: float) -> tuple[str, Command, bool]:
        """Return the source in command, what it asks for, and whether that has aged."""
        source = 'auto' if self.autonomy else 'teleop'
        command, _ = self._heard.commands.get(source, (ZERO, None))
        fresh = self._fresh(source, now_ros, now_steady)
        stale = not fresh and not command.is_zero()
        return source if fresh else 'none', command, stale

    def _state(
            self, now_ros: float, now_steady: float, odom_fresh: bool, **known: Any) -> State:
        timeout = self.limits.sensor_timeout_s
        scan_fresh = is_fresh(self._heard.scan_seen, now_ros, now_steady, timeout)
        points = None
        if scan_fresh and self._heard.scan_seen is not None:
            track = self._heard.odometry if odom_fresh else self._heard.commanded
            moved = track.moved(self._heard.scan_seen.stamp, now_ros)
            points = to_child(moved, self._heard.points)
        surprise_fresh = now_steady - self._heard.surprise_received <= timeout
        return State(
            limits=self._in_force, last=self._last, throttle=self._throttle,
            emergency_stop=self.emergency_stop,
            clock_lost=self._heard.clock_lost or now_ros <= 0.0,
            odom_stale=self.limits.odom_required and not odom_fresh,
            scan_stale=self.limits.scan_required and not scan_fresh,
            sight_too_short=scan_fresh and self._short_sighted(),
            surprise=self.surprise if surprise_fresh else 0.0, asks=self.modes.asks,
            speed_scale=self.speed_scale, points=points,
            view=self._heard.view if scan_fresh else None,
            moving=self._heard.moving_at(now_ros) if scan_fresh and odom_fresh else None, **known,
            measured=Command(*self._heard.odometry.twist) if odom_fresh else None,
            pose=self._heard.odometry.at(now_ros) if odom_fresh else None,
            geofence=self._geofence, keep_out=self._keep_out)

    def _short_sighted(self) -> bool:
        try:
            self._in_force.check_sight(self._heard.sees_m)
        except InvalidLimit:
            return True
        return False

    def _watch_surprise(self, now_steady: float) -> None:
        fresh = now_steady - self._heard.surprise_received <= self.limits.sensor_timeout_s
        if fresh and now_steady - self._heard.surprised_since >= ALARMED_S:
            self.modes.on('surprise')

    def _watch_tilt(self, odom_fresh: bool, now_steady: float) -> bool:
        tilted = odom_fresh and self._heard.tilt > self.limits.max_tilt
        if tilted and now_steady - self._heard.level_at >= ALARMED_S:
            self.modes.on('tilt')
        return tilted

    def _watch_motion(self, dt_s: float, odom_fresh: bool) -> bool:
        """Compare what went to the wheels with odometry; whether it moves otherwise."""
        self._motion_s += dt_s
        odometry, limits = self._heard.odometry, self.limits
        pose = odometry.latest if odom_fresh else None
        if self._stuck.update(self._motion_s, self._last, pose) > limits.stuck_s:
            self._operator_stuck = self.modes.mode is Mode.TELEOP
            self.modes.on('stuck')
        slipping = self._slip.update(
            self._motion_s, self._last, Command(*odometry.twist) if odom_fresh else None,
            limits.slip_linear, limits.slip_angular) > limits.slip_s
        if slipping:
            self.modes.on('slip')
        return slipping

    def _timeout(self, source: str) -> float:
        return self.limits.auto_timeout_s if source == 'auto' else self.limits.teleop_timeout_s

    def _fresh(self, source: str, now_ros: float, now_steady: float) -> bool:
        command = self._heard.commands.get(source)
        return command is not None and (
            command[1].age(now_ros, now_steady) <= self._timeout(source))

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
            self._heard = Heard(clock_lost=True)
            self._latest_ros = self._stepped_ros = now_ros
            self._advanced_steady = -np.inf  # the brakes do not wait for the new time
        self._latest_ros = max(self._latest_ros, now_ros)
