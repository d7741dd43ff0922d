# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A pad as timelines: what it commands, and what no sequence of readings makes it command."""

import ctypes
from glob import glob
import math
import os
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from wm_controller.teleop.joystick import InvalidLayout, Joystick, Layout

LAYOUT = Layout(reset=6)
PERIOD = 0.05


class Hand:
    """A pad with a clock in hand; buttons by the names of Layout."""

    def __init__(self, layout=LAYOUT):
        self.pad = Joystick(layout)
        self.now = 100.0
        self.sent = []

    def reads(self, v=0.0, w=0.0, *down, seconds=PERIOD, **changes):
        """Let the pad say the same for a while, every 50 ms; return the last output."""
        axes = [w, v, 0.0, 0.0, 0.0, 0.0]
        buttons = [0] * 11
        for name in down:
            buttons[getattr(self.pad.layout, name)] = 1
        for _ in range(round(seconds / PERIOD)):
            self.now += PERIOD
            given = {'axes': axes, 'buttons': buttons, 'stamp': self.now, **changes}
            self.pad.on_joy(given['axes'], given['buttons'], given['stamp'], self.now, self.now)
            output = self.step(0.0)
        return output

    def step(self, dt=0.02):
        self.now += dt
        output = self.pad.step(self.now, self.now)
        if output.command is not None:
            self.sent.append(output.command)
        return output

    def silence(self, seconds):
        for _ in range(round(seconds / 0.02)):
            self.step()


@pytest.fixture
def driving():
    hand = Hand()
    hand.reads(0, 0)
    hand.reads(0.5, 0, 'deadman')
    assert hand.reads(1.0, 0, 'deadman').command == (0.25, 0.0)
    hand.sent.clear()
    return hand


def test_nothing_is_sent_without_the_deadman():
    hand = Hand()
    hand.reads(0.0, 0.0, seconds=1)
    hand.reads(1.0, 1.0, 'turbo', seconds=1)
    assert hand.sent == []


def test_a_release_is_one_zero_and_then_silence(driving):
    driving.reads(1.0, 0.0, seconds=1)
    assert driving.sent == [(0.0, 0.0)]


def test_turbo_drives_faster_and_alone_not_at_all(driving):
    assert driving.reads(1.0, 0.0, 'deadman', 'turbo').command == (0.5, 0.0)
    driving.reads(1.0, 0.0, 'turbo', seconds=0.5)
    assert driving.sent == [(0.5, 0.0), (0.0, 0.0)]


def test_a_stick_that_never_centres_sends_zero_and_says_why():
    hand = Hand()
    hand.reads(0.6, 0.0, seconds=2)
    output = hand.reads(0.6, 0.0, 'deadman', seconds=1)
    assert set(hand.sent) == {(0.0, 0.0)}
    assert output.state == 'centre' and 'axis 1 reads 0.60' in output.text
    hand.reads(0.05, 0.0, 'deadman')
    assert hand.reads(0.6, 0.0, 'deadman').command[0] > 0.0


def test_a_stick_pushed_together_with_the_deadman_drives():
    hand = Hand()
    hand.reads(0.0, 0.0)
    hand.reads(0.4, 0.0)
    assert hand.reads(0.8, 0.0, 'deadman').command[0] > 0.0


def test_an_untouched_trigger_in_place_of_a_stick_never_drives():
    hand = Hand()
    hand.reads(0.0, 0.0, seconds=1)
    hand.reads(0.0, 0.0, 'deadman', seconds=1)
    hand.reads(0.99, 0.0, 'deadman', seconds=2)  # where it really rests
    assert set(hand.sent) == {(0.0, 0.0)}


@pytest.mark.parametrize('fault', [
    {'axes': [], 'buttons': []}, {'axes': [0.0, 1.0]}, {'buttons': [0] * 3},
    {'axes': [math.nan, 1.0, 0.0, 0.0, 0.0, 0.0]}, {'axes': [0.0, math.inf, 0, 0, 0, 0]},
    {'axes': [0.0, 32767.0, 0, 0, 0, 0]}, {'stamp': 0.0}, {'stamp': math.nan}, {'stamp': 1e6},
    {'stamp': 50.0}], ids=str)
def test_a_fault_with_the_stick_held_is_a_release_until_pressed_anew(driving, fault):
    driving.reads(1.0, 0.0, 'deadman', **fault)
    assert driving.sent == [(0.0, 0.0)]
    driving.reads(1.0, 0.0, 'deadman', seconds=1)
    assert driving.sent == [(0.0, 0.0)]
    driving.reads(0.0, 0.0)
    assert driving.reads(1.0, 0.0, 'deadman').command is not None


def test_silence_with_the_stick_held_is_a_release_in_time(driving):
    driving.silence(0.24)
    assert driving.sent == []
    driving.silence(0.04)
    assert driving.sent == [(0.0, 0.0)]
    assert driving.pad.losses == 1
    driving.reads(1.0, 0.0, 'deadman', seconds=1)
    assert len(driving.sent) == 1


def test_new_messages_with_an_old_stamp_are_silence(driving):
    driving.reads(1.0, 0.0, 'deadman', seconds=2, stamp=driving.now)
    assert driving.sent[-1] == (0.0, 0.0)
    assert len(driving.sent) <= 6


def test_a_stop_counts_whatever_else_is_wrong():
    hand = Hand()
    assert hand.reads(math.nan, 0.0, 'stop').stop
    assert not hand.reads(0.0, 0.0).stop


def test_autonomy_takes_half_a_second_with_the_deadman_released(driving):
    assert not driving.reads(0.0, 0.0, 'deadman', 'autonomy', seconds=2).autonomy
    assert not driving.reads(0.0, 0.0, 'autonomy', seconds=2).autonomy, 'began under the dead-man'
    driving.reads(0.0, 0.0)
    asked = [driving.reads(0.0, 0.0, 'autonomy').autonomy for _ in range(40)]
    assert asked.count(True) == 1 and asked.index(True) * PERIOD == pytest.approx(0.5, abs=0.06)


def test_a_tap_on_autonomy_does_nothing():
    hand = Hand()
    hand.reads(0.0, 0.0)
    assert not any(hand.reads(0.0, 0.0, *down, seconds=0.4).autonomy
                   for down in (('autonomy',), (), ('autonomy',), ()))


def test_the_curve_rises_steadily_from_the_dead_zone_to_the_scale():
    speeds = [LAYOUT.speed(0.01 * n, 0.25) for n in range(101)]
    assert speeds[10] == pytest.approx(0.0) and speeds[100] == pytest.approx(0.25)
    assert all(a <= b for a, b in zip(speeds, speeds[1:]))
    assert LAYOUT.speed(-0.7, 0.25) == -LAYOUT.speed(0.7, 0.25)


@pytest.mark.parametrize(('wrong', 'says'), [
    ({'deadman': -1}, 'dead-man'), ({'linear_axis': 0}, 'axis 0'), ({'stop': 4}, 'button 4')])
def test_a_mapping_to_fear_is_refused(wrong, says):
    with pytest.raises(InvalidLayout, match=says):
        Layout(**wrong)


AXIS = st.one_of(st.sampled_from((0.0, 0.05, 0.5, -1.0, 1.0, 1.2, math.nan)), st.floats(-1, 1))
READINGS = st.tuples(
    AXIS, AXIS, st.booleans(), st.booleans(), st.integers(0, 3),
    st.sampled_from(('fine',) * 12 + ('empty', 'short', 'frozen', 'zero', 'old', 'future')))
SEQUENCES = st.lists(st.tuples(READINGS, st.integers(1, 4)), max_size=25)


@settings(max_examples=int(os.environ.get('WM_SEQUENCES', '300')))
@given(sequence=SEQUENCES)
def test_motion_takes_a_held_fresh_and_armed_deadman(sequence):
    """Told anew from the readings alone, by rules simpler than the code's."""
    hand = Hand()
    last_good = -math.inf  # when the newest good message came
    released = rested = False  # since the pad was last lost; since the dead-man was last up
    rest_at, last_stamp, shape_was_good = -math.inf, 0.0, False
    for (v, w, deadman, turbo, gap, kind), repeats in sequence:
        for _ in range(repeats):
            hand.now += 0.02 + 0.1 * gap
            axes = {'empty': [], 'short': [v]}.get(kind, [w, v, 0.0, 0.0, 0.0, 0.0])
            buttons = [] if kind == 'empty' else [int(n == 4 and deadman or n == 5 and turbo)
                                                  for n in range(11)]
            stamp = {'frozen': last_stamp, 'zero': 0.0, 'old': hand.now - 1.0,
                     'future': hand.now + 1.0}.get(kind, hand.now)
            before = hand.pad.step(hand.now, hand.now)
            assert before.command in (None, (0.0, 0.0)) or hand.now - last_good <= 0.25
            if hand.now - last_good > 0.25:
                released = False
            good = kind in ('fine', 'frozen') and all(abs(x) <= 1.05 for x in (v, w))
            hand.pad.on_joy(axes, buttons, stamp, hand.now, hand.now)
            output = hand.pad.step(hand.now, hand.now)
            if not good or stamp < hand.now - 0.25:
                released = rested = False
                rest_at = -math.inf
            else:
                if stamp > last_stamp or not shape_was_good:
                    last_good = hand.now
                    last_stamp = stamp
                at_rest = abs(v) <= 0.1 and abs(w) <= 0.1
                if not deadman:
                    released, rested = True, False
                if at_rest:
                    rest_at = hand.now
                    rested = True
            shape_was_good = good
            if output.command not in (None, (0.0, 0.0)):
                assert good and deadman and released, 'a dead-man held, and released before'
                assert rested or hand.now - rest_at <= 1.0, 'a stick that was seen at rest'
                assert hand.now - stamp <= 0.25, 'fresh'
                most = (0.5, 1.2) if turbo else (0.25, 0.8)
                assert abs(output.command[0]) <= most[0] and abs(output.command[1]) <= most[1]


@pytest.fixture
def sdl(monkeypatch):
    """SDL's virtual pad: plugged in, moved and pulled out in this process."""
    pygame = pytest.importorskip('pygame')
    found = glob(os.path.join(os.path.dirname(pygame.__file__), '..', 'pygame.libs', 'libSDL2-2*'))
    if not found:
        pytest.skip('this pygame does not carry its SDL: no virtual pad to plug in')
    from wm_controller.teleop.pygame_pad import PygamePad
    reader = PygamePad()
    library = ctypes.CDLL(found[0])
    library.SDL_JoystickFromInstanceID.restype = ctypes.c_void_p

    def of(instance):
        return ctypes.c_void_p(library.SDL_JoystickFromInstanceID(instance))

    def attach():
        index = library.SDL_JoystickAttachVirtual(1, 6, 11, 1)
        return library.SDL_JoystickGetDeviceInstanceID(index)

    yield SimpleNamespace(
        reader=reader, attach=attach,
        axis=lambda pad, n, x: library.SDL_JoystickSetVirtualAxis(of(pad), n, ctypes.c_int16(x)),
        button=lambda pad, n, x: library.SDL_JoystickSetVirtualButton(
            of(pad), n, ctypes.c_uint8(x)),
        detach=lambda: library.SDL_JoystickDetachVirtual(0))
    reader.close()


def test_pygame_reads_a_pad_as_joy_node_does_and_notices_it_pulled(sdl):
    assert sdl.reader.read() is None
    pad = sdl.attach()
    axes, buttons = sdl.reader.read()
    assert (len(axes), len(buttons)) == (6 + 2, 11)
    sdl.axis(pad, 1, -32768)  # SDL: up is negative
    sdl.button(pad, 4, 1)
    sdl.reader.read()
    axes, buttons = sdl.reader.read()
    assert axes[1] == pytest.approx(1.0, abs=1e-3) and buttons == [0, 0, 0, 0, 1] + [0] * 6
    sdl.detach()
    assert sdl.reader.read() is None
    sdl.attach()
    assert sdl.reader.read()[1] == [0] * 11
