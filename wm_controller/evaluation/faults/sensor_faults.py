# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Camera, odometry, laser and clock that lie or fall silent."""

from __future__ import annotations

from collections.abc import Callable
import time

from wm_controller.evaluation.faults.row import Fault
from wm_controller.evaluation.faults.scene import Scene, Unexpected

IMAGE_S = 1.1  # noticing a bad image, image and command time-out, braking
SENSOR_S = 1.1  # sensor_timeout_s, braking, a busy machine
BLIND_S = 3.0  # until the controller calls it a fault
DRIVES_ON_S = 4.0
UNNOTICED_S = 12.0


def _stops(fault: str, within_s: float, reason: str) -> Callable[[Scene], float]:
    """The wheels are told to stand, and the guardrail says why."""
    def act(scene: Scene) -> float:
        since = scene.inject(fault)
        reaction = scene.stands(since, within_s)
        scene.because(reason, since)
        return reaction
    return act


def _blinds(fault: str, words: str) -> Callable[[Scene], float]:
    """The wheels are told to stand; the controller calls it a fault, in words."""
    def act(scene: Scene) -> float:
        since = scene.inject(fault)
        reaction = scene.stands(since, IMAGE_S)
        scene.says('controller', lambda s: s.values.get('state') == 'fault' and words in s.message,
                   since, BLIND_S, f'the controller saying {words!r}')
        return reaction
    return act


def _out_of_order(scene: Scene) -> float:
    """Late images are dropped and counted, commands never go back in time, it drives on."""
    since = scene.inject('camera_out_of_order')
    reaction = scene.counted(
        'controller', 'dropped_image', since, complaint='is not newer than the one before')
    end = since + DRIVES_ON_S
    scene.until(lambda: time.monotonic() > end, DRIVES_ON_S + 1.0, 'time passing')
    wanted = [c for c in list(scene.record.wanted) if c.sent > since]
    if any(after.stamp < before.stamp for before, after in zip(wanted, wanted[1:])):
        raise Unexpected('a command was planned from an older image than the one before')
    if len(wanted) < 2 * DRIVES_ON_S:
        raise Unexpected(f'only {len(wanted)} commands in {DRIVES_ON_S:g} s')
    return reaction


def _drives_on_safely(fault: str) -> Callable[[Scene], float]:
    """Nothing tells that the scan is wrong: what is left must keep the robot out of contact."""
    def act(scene: Scene) -> float:
        since = scene.inject(fault)
        end = since + UNNOTICED_S
        scene.until(lambda: time.monotonic() > end, UNNOTICED_S + 1.0, 'time passing')
        cancelled = time.monotonic()
        scene.observer.trigger('controller/cancel')
        return scene.stands(cancelled, 1.0)
    return act


def _clock_jumping(scene: Scene) -> float:
    """Time that goes back is a reset: what was planned in the other time is not driven."""
    since = scene.inject('clock_jumping')
    reaction = scene.stands(since, 0.6, for_s=2.0)
    if scene.state('controller') != 'idle':
        raise Unexpected(f'the controller keeps the goal of another time: {scene.account()}')
    return reaction


SENSOR_FAULTS = (
    Fault('camera_frozen', 'the same picture for ever, with new stamps',
          'the wheels are told to stand; the controller is in `fault` and says frozen',
          IMAGE_S, _blinds('camera_frozen', 'frozen')),
    Fault('camera_black', 'black pictures',
          'the wheels are told to stand; the controller is in `fault` and says blank',
          IMAGE_S, _blinds('camera_black', 'blank')),
    Fault('camera_noisy', 'pictures in strong noise (90 grey levels)',
          'the wheels are told to stand; the controller is in `fault` and says noise', IMAGE_S,
          _blinds('camera_noisy', 'noise')),
    Fault('camera_late', 'images 0.6 s late',
          'the wheels are told to stand; the controller is in `fault`', IMAGE_S,
          _blinds('camera_late', 'image')),
    Fault('camera_out_of_order', 'of every two images the second one first',
          'the older are dropped and counted; commands never go back in time', 2.0,
          _out_of_order),
    Fault('camera_wrong_size', 'half the picture from one image to the next',
          'the wheels are told to stand; the controller is in `fault` and names the size',
          IMAGE_S, _blinds('camera_wrong_size', '160x240')),
    Fault('camera_wrong_encoding', 'another encoding from one image to the next',
          'the wheels are told to stand; the controller is in `fault` and names it', IMAGE_S,
          _blinds('camera_wrong_encoding', '16UC1')),
    Fault('odom_lost', 'no odometry', 'the wheels are told to stand, `odom_timeout` is named',
          SENSOR_S, _stops('odom_lost', SENSOR_S, 'odom_timeout')),
    Fault('odom_jumping', 'odometry a metre to and fro with every message',
          'dropped; the wheels are told to stand, `odom_timeout` is named',
          SENSOR_S, _stops('odom_jumping', SENSOR_S, 'odom_timeout')),
    Fault('odom_nan', 'position and speed not a number',
          'dropped; the wheels are told to stand, `odom_timeout` is named',
          SENSOR_S, _stops('odom_nan', SENSOR_S, 'odom_timeout')),
    Fault('odom_wrong_frame', 'odometry in the frame map',
          'dropped; the wheels are told to stand, `odom_timeout` is named',
          SENSOR_S, _stops('odom_wrong_frame', SENSOR_S, 'odom_timeout')),
    Fault('scan_lost', 'no scan', 'the wheels are told to stand, `scan_timeout` is named',
          SENSOR_S, _stops('scan_lost', SENSOR_S, 'scan_timeout')),
    Fault('scan_infinite', 'every beam says nothing in range, as in an open field',
          'dropped; the wheels are told to stand, `scan_timeout` is named',
          SENSOR_S, _stops('scan_infinite', SENSOR_S, 'scan_timeout')),
    Fault('scan_nan', 'every beam invalid',
          'dropped; the wheels are told to stand, `scan_timeout` is named',
          SENSOR_S, _stops('scan_nan', SENSOR_S, 'scan_timeout')),
    Fault('scan_rotated', 'the scanner turned by 90 degrees',
          'not noticed: driving by camera, no contact in 12 s; stands when cancelled', 0.8,
          _drives_on_safely('scan_rotated')),
    Fault('clock_jumping', 'the clock 3 s back and forth, every half second',
          'the wheels are told to stand until there is a new goal; the controller is `idle`', 0.6,
          _clock_jumping),
    Fault('clock_stopped', 'no /clock', 'the wheels are told to stand, `command_timeout` is named',
          0.9, _stops('clock_stopped', 0.9, 'command_timeout')),
)
