# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What an operator's pad commands: nothing, unless its dead-man is held by a hand that is there.

Time is an argument: stamps and now_ros are ROS seconds, now_steady is steady seconds. Whatever is
wrong with the pad counts as a released dead-man, which then has to be seen released before a
press of it counts again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

from wm_controller.safety.inputs import all_finite, Seen, stamp_fault

NEUTRAL_S = 0.5
"""A stick seen at rest this long before the dead-man was pressed may be pushed with the press."""
HOLD_S = 0.5
"""Handing back to autonomy takes a press this long, so that it is never a slip of the thumb."""
FIRST_MOTION = 0.75
"""An axis that leaves exactly 0 for more than this was no stick at rest, but an untouched trigger:
those read 0 until they are first moved, and then where they really are."""
FURTHEST = 1.05
"""A deflection beyond this is no deflection."""

HELD_BUTTONS = ('autonomy', 'reset')


class InvalidLayout(ValueError):
    """A mapping that cannot be driven with; the text is one line that says why."""


@dataclass(frozen=True)
class Layout:
    """
    Axes and buttons by number (-1: not mapped), and what full deflection commands.

    Speeds are m/s and rad/s, negative where the axis is upside down.
    """

    linear_axis: int = 1
    angular_axis: int = 0
    deadman: int = 4
    turbo: int = 5
    stop: int = 1
    autonomy: int = 7
    reset: int = -1
    linear: float = 0.25
    angular: float = 0.8
    linear_turbo: float = 0.5
    angular_turbo: float = 1.2
    deadzone: float = 0.1
    exponent: float = 1.5
    timeout_s: float = 0.25
    period_s: float = 0.02

    def __post_init__(self) -> None:
        if self.deadman < 0:
            raise InvalidLayout('enable_button is -1: nothing moves without a dead-man, map it')
        if self.linear_axis == self.angular_axis >= 0:
            raise InvalidLayout(f'axis {self.linear_axis} is mapped to both speeds')
        used = [number for number in self._buttons() if number >= 0]
        twice = sorted({number for number in used if used.count(number) > 1})
        if twice:
            raise InvalidLayout(f'button {twice[0]} is mapped more than once')

    def _buttons(self) -> tuple[int, ...]:
        return self.deadman, self.turbo, self.stop, self.autonomy, self.reset

    @property
    def sticks(self) -> tuple[int, ...]:
        """Axes that are mapped."""
        return tuple(axis for axis in (self.linear_axis, self.angular_axis) if axis >= 0)

    @property
    def least_axes(self) -> int:
        """How many axes a pad must have."""
        return max(self.sticks, default=-1) + 1

    @property
    def least_buttons(self) -> int:
        """How many buttons a pad must have."""
        return max(self._buttons()) + 1

    def speed(self, deflection: float, scale: float) -> float:
        """Speed at a deflection (-1..1): zero in the dead zone, steadily rising to the scale."""
        beyond = (min(abs(deflection), 1.0) - self.deadzone) / (1.0 - self.deadzone)
        return math.copysign(max(beyond, 0.0) ** self.exponent, deflection) * scale


@dataclass(frozen=True)
class Output:
    """
    What is to be done now. `command` (v m/s, w rad/s) is None where nothing is to be sent.

    `state` is one of absent, locked, ready, centre, driving; `text` says it in words. `stop` is
    true while the stop button is down, `autonomy` and `reset` once per press that lasted.
    """

    command: tuple[float, float] | None
    state: str
    text: str
    stop: bool
    autonomy: bool
    reset: bool


class Joystick:
    """One operator's pad."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.losses = 0
        self._commanding = False
        self._sent_at = -math.inf
        self._stop = False
        self._fired: set[str] = set()
        self._why = 'nothing heard of a pad yet'
        self._forget()

    def _forget(self) -> None:
        """Be as at the start: the pad that is heard next may be another one."""
        self._seen: Seen | None = None
        self._shape: tuple[int, int] | None = None
        self._axes: tuple[float, ...] = ()
        self._turbo = self._news = False
        self._locked, self._held, self._armed = True, False, False
        self._neutral_at = -math.inf
        self._moved: set[int] = set()
        self._released: set[str] = set()
        self._pressed_at: dict[str, float] = {}

    def lose(self, why: str) -> None:
        """Count the pad as gone, and say why."""
        if self._seen is not None:
            self.losses += 1
        self._why = why
        self._forget()

    def on_joy(
            self, axes: Sequence[float], buttons: Sequence[int], stamp: float, now_ros: float,
            now_steady: float) -> str | None:
        """Take what the pad reads, deflections -1..1; return why it does not count, or None."""
        # A stop counts from any message in which it can be read.
        self._stop = self._down(buttons, self.layout.stop)
        fault = self._fault(axes, buttons, stamp, now_ros)
        if fault:
            self.lose(fault)
            return fault
        self._seen = self._seen.then(stamp, now_steady) if self._seen else Seen(stamp, now_steady)
        self._shape = len(axes), len(buttons)
        self._axes = tuple(float(value) for value in axes)
        self._turbo = self._down(buttons, self.layout.turbo)
        self._news = True
        self._watch_deadman(self._down(buttons, self.layout.deadman), now_steady)
        for name in HELD_BUTTONS:
            self._watch_held(name, self._down(buttons, getattr(self.layout, name)), now_steady)
        return None

    def step(self, now_ros: float, now_steady: float) -> Output:
        """Say what to do now. Call it after each message and at a fixed rate."""
        if self._seen is not None and self._seen.age(now_ros, now_steady) > self.layout.timeout_s:
            frozen = now_steady - self._seen.received <= self.layout.timeout_s
            self.lose('its messages are too old' if frozen else
                      f'silent, or its stamp stands still, for {self.layout.timeout_s:g} s')
        command = self._command(now_steady)
        state, text = self._condition()
        fired, self._fired = self._fired, set()
        return Output(command, state, text, self._stop, 'autonomy' in fired, 'reset' in fired)

    def _fault(
            self, axes: Sequence[float], buttons: Sequence[int], stamp: float, now_ros: float
            ) -> str | None:
        layout = self.layout
        if not len(axes) and not len(buttons):
            return 'unplugged'
        if self._shape not in (None, (len(axes), len(buttons))):
            return 'another pad'
        if len(axes) < layout.least_axes or len(buttons) < layout.least_buttons:
            return (f'{len(axes)} axes and {len(buttons)} buttons, but the mapping needs '
                    f'{layout.least_axes} and {layout.least_buttons}')
        if not all_finite(axes[axis] for axis in layout.sticks):
            return 'an axis is not finite'
        if any(abs(axes[axis]) > FURTHEST for axis in layout.sticks):
            return 'an axis is out of range'
        fault = stamp_fault(stamp, now_ros, self._seen)
        return fault and f'{fault}: do the clocks of pad and robot agree?'

    @staticmethod
    def _down(buttons: Sequence[int], number: int) -> bool:
        return 0 <= number < len(buttons) and buttons[number] == 1

    def _watch_deadman(self, down: bool, now: float) -> None:
        neutral = self._neutral()
        jumped = self._first_motion()
        if jumped:
            self._neutral_at, self._armed = -math.inf, False
        if not down:
            self._locked = self._held = self._armed = False
            if neutral:
                self._neutral_at = now
        elif not self._locked:
            just = not self._held and now - self._neutral_at <= NEUTRAL_S
            self._armed = self._armed or neutral or just
            self._held = True

    def _neutral(self) -> bool:
        return all(abs(self._axes[axis]) <= self.layout.deadzone for axis in self.layout.sticks)

    def _first_motion(self) -> bool:
        """Whether an axis that never moved is suddenly far out."""
        new = [axis for axis in self.layout.sticks
               if self._axes[axis] != 0.0 and axis not in self._moved]
        self._moved.update(new)
        return any(abs(self._axes[axis]) > FIRST_MOTION for axis in new)

    def _watch_held(self, name: str, down: bool, now: float) -> None:
        """A press counts that began, and stayed, with the dead-man released."""
        if not down:
            self._released.add(name)
            self._pressed_at.pop(name, None)
        elif name in self._released:
            self._released.discard(name)
            self._pressed_at[name] = now
        if self._held or self._locked:
            self._pressed_at.pop(name, None)
        elif name in self._pressed_at and now - self._pressed_at[name] >= HOLD_S:
            del self._pressed_at[name]
            self._fired.add(name)

    def _command(self, now: float) -> tuple[float, float] | None:
        """Every message makes a command, at most one a period; a release makes a last zero."""
        if not self._held:
            last, self._commanding = self._commanding, False
            return (0.0, 0.0) if last else None
        if not self._news or (self._commanding and now - self._sent_at < self.layout.period_s):
            return None
        self._news, self._commanding, self._sent_at = False, True, now
        return self._velocity() if self._armed else (0.0, 0.0)

    def _velocity(self) -> tuple[float, float]:
        layout = self.layout
        scales = ((layout.linear_turbo, layout.angular_turbo) if self._turbo
                  else (layout.linear, layout.angular))
        v, w = (layout.speed(self._axes[axis], scale) if axis >= 0 else 0.0
                for axis, scale in zip((layout.linear_axis, layout.angular_axis), scales))
        return v, w

    def _condition(self) -> tuple[str, str]:
        if self._seen is None:
            return 'absent', f'no pad: {self._why}'
        if self._locked:
            return 'locked', 'let go of the dead-man first'
        if not self._held:
            return 'ready', 'dead-man released'
        if self._armed:
            return 'driving', 'dead-man held'
        far = max(self.layout.sticks, key=lambda axis: abs(self._axes[axis]), default=0)
        return 'centre', f'let the stick go: axis {far} reads {self._axes[far]:.2f} (is it one?)'
