# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The mode machine: who may command, whatever happens in whatever order."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, RuleBasedStateMachine
import numpy as np
import pytest

from timelines import examples, LIMITS, PERIOD, Timeline
from wm_controller.safety.modes import as_markdown, CAUSES, Mode, ModeMachine, TRANSITIONS

AUTO, TELEOP, HOLD, STOPPED = Mode
EVENTS = sorted({each.event for each in TRANSITIONS})


@pytest.mark.parametrize('mode', Mode)
@pytest.mark.parametrize('event', EVENTS)
def test_only_what_the_table_names_changes_the_mode(mode, event):
    machine = ModeMachine(True)
    machine.mode = mode
    named = [each for each in TRANSITIONS if each.event == event and mode in each.origins]
    assert len(named) <= 1, 'the table is unambiguous'
    assert machine.on(event) is bool(named)
    assert machine.mode is (named[0].target if named else mode)
    if named:
        assert machine.because == named[0].because
        assert machine.asks == (event if event in CAUSES else '')


def test_autonomy_comes_from_enable_alone_and_every_mode_can_be_stopped():
    assert [each.event for each in TRANSITIONS if each.target is AUTO] == ['enable']
    for each in TRANSITIONS:
        if each.target is STOPPED:
            assert set(each.origins) == {AUTO, TELEOP, HOLD}
    assert [each.event for each in TRANSITIONS if STOPPED in each.origins] == ['reset']


def test_every_hold_says_what_the_operator_can_do():
    for each in TRANSITIONS:
        if each.target is HOLD:
            assert '~/enable' in each.because
        assert each.because in as_markdown()


def test_the_table_is_markdown_with_a_row_for_each():
    rows = as_markdown().splitlines()
    assert rows[:2] == ['| in | when | then | said |', '|---|---|---|---|']
    assert len(rows) == 2 + len(TRANSITIONS) and as_markdown().endswith(' |\n')
    for row, each in zip(rows[2:], TRANSITIONS):
        origins = ', '.join(f'`{origin.value}`' for origin in each.origins)
        assert row == f'| {origins} | {each.when} | `{each.target.value}` | {each.because} |'


class ModesUnderFire(RuleBasedStateMachine):
    """A guard that is commanded, stopped, reset, enabled and shaken; a referee keeps the score."""

    @initialize(autonomous=st.booleans())
    def begin(self, autonomous):
        limits = LIMITS if autonomous else type(LIMITS)(autonomy_on_start=False)
        self.line = Timeline(limits)
        self.line.ros = 1e6
        self.allowed = autonomous  # what the operator has said last, and nothing has undone
        self.latched = False
        self.teleop_at = self.pressed_at = -np.inf
        self.before = self.line.verdict

    def _step(self, seconds=PERIOD):
        for _ in range(max(1, round(seconds / PERIOD))):
            self.before = self.line.verdict
            self.line.step()
            self._check_speed()
        if self.line.verdict.mode == 'hold':
            self.allowed = False

    def _check_speed(self):
        before, after = self.before, self.line.verdict
        brake = LIMITS.max_linear_deceleration * PERIOD + 1e-9
        assert abs(after.v) - abs(before.v) <= LIMITS.max_linear_acceleration * PERIOD + 1e-9
        assert abs(after.v - before.v) <= brake, f'a jump from {before} to {after}'
        assert abs(after.w - before.w) <= LIMITS.max_angular_acceleration * PERIOD + 1e-9

    @rule(v=st.sampled_from((0.0, 0.2, 0.5, -0.2)), times=st.integers(1, 20))
    def planner(self, v, times):
        for _ in range(times):
            self.line.command(v)
            if v:
                self.auto_at = self.line.steady
            self._step()
        if v:
            self.pressed_at = self.line.steady

    @rule(v=st.sampled_from((0.0, 0.3, -0.2)), times=st.integers(1, 20))
    def operator(self, v, times):
        for _ in range(times):
            self.line.command(v, source='teleop')
            self.teleop_at = self.line.steady
            self._step()
            assert self.line.verdict.mode == ('stopped' if self.latched else 'teleop')
            if not self.latched:
                self.allowed = False
        if v:
            self.pressed_at = self.line.steady

    @rule()
    def stop(self):
        self.line.guard.on_emergency_stop(True)
        self.latched, self.allowed = True, False
        self._step()
        assert self.line.verdict.mode == 'stopped'

    @rule()
    def release(self):
        self.line.guard.on_emergency_stop(False)

    @rule()
    def reset(self):
        done = self.line.reset()
        if self.latched:
            quiet = self.line.steady - self.pressed_at > 0.5 + PERIOD
            assert not quiet or done, 'refused although nobody commands'
            if done:
                self.latched = False
        self._step()

    @rule(allowed=st.booleans())
    def enable(self, allowed):
        done, _ = self.line.guard.enable(allowed, self.line.ros, self.line.steady)
        operator = self.line.steady - self.teleop_at < 0.5 - PERIOD
        assert not (done and allowed and (self.latched or operator))
        if done:
            self.allowed = allowed
        self._step()

    @rule()
    def surprise(self):
        for _ in range(25):
            self.line.guard.on_surprise(1.0, self.line.steady)
            self._step()
        assert self.line.verdict.mode != 'auto'
        self.allowed = False
        self.line.guard.on_surprise(0.0, self.line.steady)

    @rule()
    def clock_jumps(self):
        self.line.ros -= 20.0
        self.line.command(0.0)
        self.teleop_at = -np.inf  # what was heard in the old time is gone
        self._step()

    @rule(seconds=st.sampled_from((0.02, 0.3, 1.2)))
    def silence(self, seconds):
        self._step(seconds)
        if seconds > 1.0:
            assert (self.line.verdict.v, self.line.verdict.w) == (0.0, 0.0)

    @invariant()
    def autonomy_only_where_it_was_allowed(self):
        if not hasattr(self, 'line'):
            return
        verdict = self.line.verdict
        assert verdict.mode in ('auto', 'teleop', 'hold', 'stopped') and verdict.because
        assert (verdict.mode == 'stopped') is self.latched
        assert verdict.mode != 'auto' or self.allowed
        assert verdict.source != 'auto' or verdict.mode == 'auto'


TestModesUnderFire = ModesUnderFire.TestCase
TestModesUnderFire.settings = settings(examples(60), stateful_step_count=25)
