# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A real recording, published as topics, through controller and guardrail without a fault.

20 s of it here; WM_RECORDING_S=748 plays its whole length (give pytest --timeout 1000 then).
"""

import math
import os
from pathlib import Path
import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped, TwistStamped
import numpy as np
import pytest
import torch

from ros_probe import pose_goal, Probe, values_of
from wm_controller.nodes import qos
from wm_controller.nodes.conversions import seconds
from wm_controller.resources import find_config
from wm_controller.world_model.bundle import save_bundle
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.spec import Architecture, ModelSpec

RECORDING = Path(__file__).parents[2] / 'shared' / 'recordings' / 'office_car'
DURATION_S = float(os.environ.get('WM_RECORDING_S', '20'))
CAMERA_HZ = 18.5  # of the recording, its pause included
PAUSE_S = 28.2 if DURATION_S > 600 else 0.1  # the recorder stopped once, for this long

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not RECORDING.is_dir(), reason=f'no recording at {RECORDING}')]


def untrained_bundle(path):
    """A bundle of the right shape that has learned nothing: what counts here is that it runs."""
    torch.manual_seed(0)
    bearings = tuple(np.deg2rad(np.linspace(42, -42, 15)).tolist())
    spec = ModelSpec(clearance_bearings=bearings, architecture=Architecture(abstract_state=16))
    save_bundle(path, WorldModel(spec), gates={'passed': True}, training={}, energy_quantiles=())
    return path


def test_recording_runs_through_controller_and_guardrail_without_a_fault(
        ros_domain, spawn_node, tmp_path):
    model = os.environ.get('WM_MODEL') or untrained_bundle(tmp_path / 'untrained.safetensors')
    parameters = ['--ros-args', '--params-file', find_config('robot')]
    with Probe() as probe:
        guardrail = spawn_node('wm_controller.nodes.guardrail', *parameters,
                               '-p', 'odom_required:=false', '-p', 'scan_required:=false')
        controller = spawn_node('wm_controller.nodes.controller', *parameters,
                                '-p', f'model:={model}', '-p', 'image_transport:=compressed')
        wanted = probe.listen(TwistStamped, 'cmd_vel_auto')
        admitted = probe.listen(TwistStamped, 'cmd_vel', qos.COMMAND)
        states = probe.listen(DiagnosticStatus, 'controller/status', qos.STATUS, keep=lambda m: (
            time.monotonic(), values_of(m)['state'], m.message))
        figures = probe.listen(DiagnosticArray, '/diagnostics', keep=lambda m: {
            status.name: values_of(status) for status in m.status})
        goals = probe.publisher(PoseStamped, 'goal_pose', wait_s=60.0)
        goals.publish(pose_goal(30.0, 0.0))  # so far off that it plans all the time
        player = spawn_node('wm_controller.nodes.bag_player', '--ros-args',
                            '-p', f'bag:={RECORDING}', '-p', f'duration:={DURATION_S}')
        probe.until(lambda: player.poll() is not None, DURATION_S + 60.0, 'the end of the bag')
        ended = time.monotonic()
        probe.spin(1.5)

        assert player.returncode == 0
        assert controller.poll() is None
        assert guardrail.poll() is None
        for process in (controller, guardrail, player):
            assert 'Traceback' not in process.log.read_text()
        faults = [(at, message) for at, state, message in states
                  if state == 'fault' and at < ended - 0.5]
        print(f'{len(faults)} status messages with a fault:', {line[:40] for _, line in faults})
        assert all('no image on' in line for _, line in faults)
        blind_s = sum(np.diff([at for at, _ in faults]).clip(0.0, 0.6)) if faults else 0.0
        assert blind_s < PAUSE_S, 'blind only while the recording itself pauses'
        driving = next(f['/controller: driving'] for f in reversed(figures)
                       if '/controller: driving' in f)
        print({key: value for key, value in driving.items() if key != 'last_complaint'})
        assert int(driving['images']) > 0.9 * CAMERA_HZ * DURATION_S
        assert int(driving.get('faults', 0)) == int(driving.get('bad_images', 0)) == 0
        # That it goes on planning; how fast is what `wm bench` measures.
        assert int(driving['plans']) > 2.0 * DURATION_S
        assert len(wanted) > 2.0 * DURATION_S
        stamps = np.array([seconds(message.header.stamp) for message in wanted])
        too_slow = int(driving['plans_over_time']) > 0.3 * int(driving['plans'])  # the machine
        assert too_slow or np.median(np.diff(stamps)) == pytest.approx(0.1, abs=0.03)
        numbers = [(m.twist.linear.x, m.twist.angular.z) for m in wanted + admitted]
        assert all(math.isfinite(v) and math.isfinite(w) for v, w in numbers)
        assert max(abs(v) for v, _ in numbers) > 0.02, 'it drives, in its way'
        assert len(admitted) > 45.0 * DURATION_S
