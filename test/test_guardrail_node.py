# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402
"""The guardrail as a process among processes, over real DDS: what reaches `cmd_vel`, and when."""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time

import pytest

rclpy = pytest.importorskip('rclpy')

from geometry_msgs.msg import Twist
import numpy as np
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import LaserScan
from std_msgs.msg import Bool, Float32
from std_srvs.srv import SetBool, Trigger

from guardrail_bench import Bench
from wm_controller.nodes import qos
from wm_controller.nodes.conversions import to_odometry, to_stamp
from wm_controller.nodes.guardrail import ANSWERS_PER_PERIOD
from wm_controller.nodes.runtime import make_executor

NODE = 'wm_controller.nodes.guardrail'
PERIOD = 0.02
PR_CAPBSET_DROP, CAP_IPC_LOCK, CAP_SYS_NICE = 24, 14, 23  # <linux/prctl.h>, <linux/capability.h>
# A machine that builds and tests beside this may take a while to schedule us: what is asserted
# allows for it, what was measured is printed.
SLACK = 0.1

SENDER = """
import sys, time, rclpy
from geometry_msgs.msg import TwistStamped
rclpy.init()
node = rclpy.create_node('planner')
publisher = node.create_publisher(TwistStamped, 'cmd_vel_auto', 1)
while True:
    message = TwistStamped()
    message.header.stamp = node.get_clock().now().to_msg()
    message.header.frame_id = 'base_link'
    message.twist.linear.x = 0.5
    publisher.publish(message)
    time.sleep(0.05)
"""


@pytest.fixture
def bench(ros_domain):
    made = Bench()
    yield made
    made.close()


@pytest.fixture
def guardrail(bench, spawn_node):
    process = spawn_node(NODE)
    bench.until(lambda: bench.out, 'cmd_vel')
    return process


def test_it_starts_quickly_without_torch_and_publishes_zeros_at_its_rate(bench, spawn_node):
    begin = time.monotonic()
    process = spawn_node(NODE)
    bench.until(lambda: 'full stop within' in process.log.read_text(), 'the start')
    started = time.monotonic() - begin
    bench.until(lambda: bench.out, 'cmd_vel')  # DDS discovery may take seconds
    bench.out.clear()
    bench.spin(2.0)
    rate = len(bench.out) / 2.0
    with open(f'/proc/{process.pid}/status') as status:
        resident = next(int(line.split()[1]) for line in status if line.startswith('VmRSS')) / 1024
    with open(f'/proc/{process.pid}/maps') as maps:
        assert 'torch' not in maps.read()
    print(f'started in {started:.2f} s; {rate:.1f} Hz; {resident:.0f} MiB resident')
    assert started < 3.0 and resident < 120.0
    assert 45.0 <= rate <= 53.0
    assert {(v, w) for _, v, w in bench.out} == {(0.0, 0.0)}


def test_importing_the_node_does_not_import_torch():
    code = f'import sys, {NODE}; sys.exit(any(m in sys.modules for m in ("torch", "cv2", "h5py")))'
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0


def test_a_command_passes_and_silence_brakes_within_the_timeout(bench, guardrail):
    bench.drive()
    expected = {'mode': 'auto', 'source': 'auto', 'reasons': '', 'limit': '1'}
    bench.until(lambda: bench.status() == expected, str(expected), lambda: bench.send(0.5))
    bench.send(0.5)
    sent = time.monotonic()
    braking = bench.first_slower(sent, 0.5)
    stopped = bench.until_stopped(sent)
    print(f'last command -> braking {braking:.3f} s, -> zero {stopped:.3f} s')
    assert 0.45 < braking < 0.5 + PERIOD + SLACK
    assert stopped < 0.5 + 0.5 / 1.5 + PERIOD + SLACK
    assert bench.status()['reasons'].startswith('command_timeout')
    assert bench.status()['source'] == 'none'


@pytest.mark.parametrize('executor', ['events', 'wait_set'])
@pytest.mark.parametrize('end', [signal.SIGINT, signal.SIGTERM])
def test_on_a_signal_it_brakes_to_zero_whoever_commands_and_ends(bench, spawn_node, executor, end):
    process = spawn_node(NODE, WM_EXECUTOR=executor)
    bench.until(lambda: bench.out, 'cmd_vel')
    bench.drive()
    began = time.monotonic()
    process.send_signal(end)
    bench.until(lambda: process.poll() is not None, 'its end', lambda: bench.send(0.5))
    bench.spin(0.2)
    after = [v for t, v, _ in bench.out if t > began]
    assert process.returncode == 0, process.log.read_text()
    assert after[-1] == 0.0 and any(0.0 < v < 0.5 for v in after), 'it brakes, it does not jump'


def locked_and_schedulers(pid):
    """KiB that the kernel may not take back, and the scheduler of every thread."""
    with open(f'/proc/{pid}/status') as status:
        locked = next(int(line.split()[1]) for line in status if line.startswith('VmLck'))
    return locked, {os.sched_getscheduler(int(t)) for t in os.listdir(f'/proc/{pid}/task')}


def without_rights():
    """Give up what root may: locking memory and priorities; for a process about to start."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (CAP_IPC_LOCK, CAP_SYS_NICE):
        libc.prctl(PR_CAPBSET_DROP, capability)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))


def test_it_keeps_its_memory_and_goes_before_others_where_it_may(guardrail):
    log = guardrail.log.read_text()
    if 'lock_memory: ' in log or 'thread_priority 50: ' in log:
        pytest.skip('this user may neither lock memory nor set priorities')
    locked, schedulers = locked_and_schedulers(guardrail.pid)
    assert locked > 50_000 and schedulers == {os.SCHED_FIFO}


def test_where_it_may_not_it_says_so_once_and_runs_as_any_other(bench, spawn_node):
    process = spawn_node(NODE, preexec_fn=without_rights)
    bench.until(lambda: bench.out, 'cmd_vel')
    bench.drive()
    locked, schedulers = locked_and_schedulers(process.pid)
    assert locked == 0 and schedulers == {os.SCHED_OTHER}
    log = process.log.read_text()
    for what in ('lock_memory: ', 'thread_priority 50: '):
        line, = (line for line in log.splitlines() if what in line)
        assert 'own-robot.md' in line


def test_it_can_be_asked_to_run_as_any_other(bench, spawn_node):
    process = spawn_node(
        NODE, '--ros-args', '-p', 'lock_memory:=false', '-p', 'thread_priority:=0')
    bench.until(lambda: bench.out, 'cmd_vel')
    assert locked_and_schedulers(process.pid) == (0, {os.SCHED_OTHER})


def test_an_executor_leaves_signals_to_who_had_them(ros_domain):
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        executor = make_executor()
        os.kill(os.getpid(), signal.SIGTERM)
        executor.spin_once(timeout_sec=0.1)
        assert heard == [signal.SIGTERM] and rclpy.ok()
        executor.shutdown(timeout_sec=1.0)
    finally:
        signal.signal(signal.SIGTERM, before)
        rclpy.try_shutdown()


def test_a_planner_killed_with_sigkill_stops_the_robot(bench, guardrail, tmp_path, spawn_node):
    script = tmp_path / 'sender.py'
    script.write_text(SENDER)
    sender = subprocess.Popen([sys.executable, script], start_new_session=True)
    try:
        bench.until(lambda: bench.out and bench.out[-1][1] == 0.5, 'full speed')
    finally:
        os.killpg(sender.pid, signal.SIGKILL)
        killed = time.monotonic()
        sender.wait()
    braking = bench.first_slower(killed, 0.5)
    print(f'SIGKILL -> braking {braking:.3f} s, -> zero {bench.until_stopped(killed):.3f} s')
    assert braking < 0.5 + PERIOD + SLACK


def test_a_command_planned_from_an_old_image_counts_as_old(bench, guardrail):
    bench.spin(1.0, lambda: bench.send(0.5, age=0.6))
    assert bench.out[-1][1:] == (0.0, 0.0)
    assert bench.status()['reasons'].startswith('command_timeout')


def test_reaction_to_stop_obstacle_and_command_is_at_once(bench, guardrail):
    """Promise 10; the figure is printed, the bound is loose for a busy machine."""
    reactions = {}
    for cause in ('command', 'scan', 'stop'):
        bench.drive()
        begin = time.monotonic()
        if cause == 'command':
            bench.send(0.0)
        elif cause == 'scan':
            bench.scan(0.3)
        else:
            bench.stops.publish(Bool(data=True))
        reactions[cause] = bench.first_slower(begin, 0.5)
        bench.until_stopped(begin, (lambda: bench.scan(0.3)) if cause == 'scan' else None)
        if cause == 'scan':
            assert 'obstacle' in bench.status()['reasons'] or bench.status()['source'] == 'none'
            bench.scan(np.inf)
    print('reaction, ms:', {k: round(1e3 * v, 1) for k, v in reactions.items()})
    assert max(reactions.values()) < PERIOD + 0.02 + SLACK


def test_a_flood_of_messages_makes_no_flood_of_commands_and_a_stop_acts_in_it(bench, guardrail):
    bench.drive()

    def flood():
        for _ in range(5):
            bench.send(0.5)
            bench.stops.publish(Bool(data=False))

    began, first = time.monotonic(), len(bench.out)
    bench.spin(2.0, flood, every=0.005)
    rate = (len(bench.out) - first) / (time.monotonic() - began)
    assert 0.8 / PERIOD < rate < 1.1 * (1 + ANSWERS_PER_PERIOD) / PERIOD
    assert max(v for _, v, _ in bench.out[first:]) <= 0.5
    begin = time.monotonic()
    bench.stops.publish(Bool(data=True))
    assert bench.first_slower(begin, 0.5) < PERIOD + 0.02 + SLACK
    bench.until_stopped(begin, flood)


def test_an_emergency_stop_latches_until_reset_with_all_sources_at_zero(bench, guardrail):
    bench.drive(0.3)
    # True and False in a row: the release must not push the stop out of any queue.
    bench.stops.publish(Bool(data=True))
    bench.until_stopped(time.monotonic(), lambda: bench.send(0.3))
    bench.stops.publish(Bool(data=False))
    bench.spin(0.3, lambda: bench.send(0.3))
    assert bench.out[-1][1] == 0.0 and bench.status()['mode'] == 'stopped'
    bench.send(0.3)
    refused = bench.call(Trigger, 'reset')
    assert not refused.success and 'auto' in refused.message
    assert not bench.call(SetBool, 'enable', data=True).success
    bench.spin(0.2, lambda: bench.send(0.0))
    assert bench.call(Trigger, 'reset').success
    bench.spin(0.5, lambda: bench.send(0.3))
    assert bench.out[-1][1] == 0.0 and bench.status()['mode'] == 'hold'
    assert bench.call(SetBool, 'enable', data=True).success
    bench.drive(0.3)
    assert bench.call(Trigger, 'emergency_stop').success
    bench.until_stopped(time.monotonic())


def test_teleop_outranks_and_autonomy_waits_for_enable(bench, guardrail):
    bench.drive(0.4)

    def both():
        bench.send(0.4)
        bench.send(-0.2, source='teleop')
    bench.until(lambda: bench.out and bench.out[-1][1] == -0.2, 'teleop', both)
    bench.until(lambda: bench.status()['mode'] == 'teleop', 'mode teleop', both)
    bench.until(lambda: bench.status()['mode'] == 'hold', 'mode hold', lambda: bench.send(0.4))
    bench.until_stopped(time.monotonic(), lambda: bench.send(0.4))
    assert bench.call(SetBool, 'enable', data=True).success
    bench.drive(0.4)


def test_what_does_not_count_is_dropped_and_named(bench, guardrail):
    bench.drive(0.2)
    wrong = {
        'cmd_vel_auto.not_finite': lambda: bench.send(0.5, np.nan),
        'cmd_vel_teleop.not_finite': lambda: bench.send(np.inf, source='teleop'),
        'cmd_vel_auto.wrong_frame': lambda: bench.send(0.5, frame='map'),
        'cmd_vel_auto.future_stamp': lambda: bench.send(0.5, age=-1.0),
        'cmd_vel_auto.zero_stamp': lambda: bench.send(0.5, age=None),
        'scan.invalid': lambda: bench.scans.publish(LaserScan()),
        'odom.invalid': lambda: bench.odometry.publish(
            to_odometry(bench.now(), np.zeros(3), np.zeros(2), 'map', 'base_link')),
        'surprise.not_finite': lambda: bench.surprises.publish(Float32(data=float('nan')))}
    counters = {f'dropped.{cause}' for cause in wrong}

    def all_of_them():
        for send in wrong.values():
            send()
            bench.spin(0.02)  # depth 1: the next would take its place
        bench.send(0.2)
    bench.until(lambda: bench.diagnostics and counters <= set(bench.diagnosed()), str(counters),
                all_of_them)
    assert max(v for _, v, _ in bench.out) <= 0.2 + 1e-9
    assert bench.status()['mode'] == 'auto', 'a message that is dropped takes no command over'


def test_a_required_scan_that_goes_silent_brakes(bench, spawn_node):
    spawn_node(NODE, '--ros-args', '-p', 'scan_required:=true')
    bench.until(lambda: bench.out, 'cmd_vel')
    bench.spin(0.5, lambda: bench.send(0.5))
    assert bench.out[-1][1] == 0.0

    def both():
        bench.send(0.5)
        bench.scan()
    bench.until(lambda: bench.out and bench.out[-1][1] == 0.5, 'full speed', both)
    begin = time.monotonic()
    bench.until(lambda: bench.out and bench.out[-1][1] < 0.5, 'braking', lambda: bench.send(0.5))
    reaction = bench.out[-1][0] - begin
    print(f'scan silent -> braking {reaction:.3f} s')
    assert reaction < 0.5 + PERIOD + SLACK
    bench.until(lambda: 'scan_timeout' in bench.status()['reasons'], 'its reason in the status')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_braking_and_zeros(bench, guardrail, number):
    bench.drive()
    bench.send(0.5)
    guardrail.send_signal(number)
    sent = time.monotonic()
    bench.until(lambda: guardrail.poll() is not None, 'the end')
    bench.spin(0.2)
    speeds = [v for t, v, _ in bench.out if t > sent]
    assert guardrail.returncode == 0, guardrail.log.read_text()
    assert speeds[-3:] == [0.0, 0.0, 0.0]
    assert all(after - before > -0.1 for before, after in zip(speeds, speeds[1:])), speeds
    assert 'Traceback' not in guardrail.log.read_text()


def test_plain_twist_is_published_on_demand_and_a_wrong_type_is_named(ros_domain, spawn_node):
    bench = Bench(stamped=False)
    try:
        process = spawn_node(NODE, '--ros-args', '-p', 'enable_stamped_cmd_vel:=false')
        bench.until(lambda: bench.out, 'a Twist')
        bench.drive(0.2)
        context = rclpy.Context()  # one participant cannot have two types on one topic
        context.init(args=[])
        keyboard = rclpy.create_node('keyboard', context=context)
        keyboard.create_publisher(Twist, 'cmd_vel_teleop', 1)
        bench.until(lambda: 'publishes Twist' in process.log.read_text(), 'the warning')
        assert '/cmd_vel_teleop: /keyboard' in process.log.read_text()
        keyboard.destroy_node()
        context.try_shutdown()
    finally:
        bench.close()


@pytest.mark.parametrize('parameter, message', [
    ('auto_timeout_s:=0.0', 'parameter auto_timeout_s = 0.0: must be in [0.05, 2] s'),
    ('rate:=5000', 'parameter rate = 5000.0: must be in [10, 200] Hz'),
    ('max_linear_velocity:=fast', "parameter max_linear_velocity = 'fast': must be in"),
    ('footprint:=[1.0, 2.0]', 'footprint: a footprint needs at least 3 finite points'),
    ('sensor_range:=0.2', 'the scan sees 0.20 m')])
def test_a_bad_parameter_is_one_line_and_exit_code_2(spawn_node, parameter, message):
    process = spawn_node(NODE, '--ros-args', '-p', parameter)
    assert process.wait(timeout=20) == 2
    lines = process.log.read_text().strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith('guardrail: ') and message in lines[0]


def test_simulated_time_is_waited_for_followed_and_a_jump_back_stops(bench, spawn_node):
    spawn_node(NODE, '--ros-args', '-p', 'use_sim_time:=true')
    bench.until(lambda: bench.statuses, 'a status')
    assert bench.status()['reasons'] == 'clock'
    clocks = bench.node.create_publisher(Clock, '/clock', qos.CLOCK)
    begin, offset = time.monotonic(), 100.0
    bench.now = lambda: offset + 2.0 * (time.monotonic() - begin)

    def tick():
        clocks.publish(Clock(clock=to_stamp(bench.now())))
        bench.send(0.5)
    bench.until(lambda: bench.out and bench.out[-1][1] == 0.5, 'full speed', tick)
    offset = 50.0
    clocks.publish(Clock(clock=to_stamp(bench.now())))
    bench.until(lambda: 'clock' in bench.status()['reasons'], 'the jump')
    bench.until(lambda: bench.out and bench.out[-1][1] < 0.5, 'braking', timeout=0.3)
    # ... and it drives again on commands of the new time.
    bench.until(lambda: bench.out and bench.out[-1][1] == 0.5, 'full speed', tick)
    # The clock stands still: the brakes work all the same.
    bench.until_stopped(time.monotonic())


def test_whole_numbers_and_empty_lists_are_taken(bench, spawn_node):
    process = spawn_node(NODE, '--ros-args', '-p', 'max_linear_velocity:=1', '-p', 'footprint:=[]',
                         '-p', 'max_linear_velocty:=2.0', '-p', 'geofence:=[-9,-9,9,-9,9,9,-9,9]')
    bench.until(lambda: bench.out, 'cmd_vel')
    bench.spin(0.5, lambda: bench.send(0.3))
    assert bench.out[-1][1] == 0.0 and 'geofence' in bench.status()['reasons']
    assert 'did you mean max_linear_velocity?' in process.log.read_text()
