# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A drive with a takeover, a hold and a stop: real guardrail and recorder, small publishers."""

import math
import signal
import subprocess
import sys
import time

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Odometry
import numpy as np
from sensor_msgs.msg import Image, LaserScan
from std_msgs.msg import Bool, Float32
from std_srvs.srv import SetBool

from ros_probe import pose_goal, values_of
from wm_controller.nodes import qos
from wm_controller.nodes.conversions import to_odometry, to_scan
from wm_controller.nodes.images import to_image
from wm_controller.nodes.report import OK, to_status

TICK_S = 0.05
SPEED = 0.3


class Robot:
    """A base that does what cmd_vel says, its sensors, a planner that drives ahead, a hand."""

    def __init__(self, probe):
        self.probe = probe
        self.pose, self.twist = np.zeros(3), (0.0, 0.0)
        self.at = time.monotonic()
        self.way, self.ways = 0.0, {'auto': 0.0, 'teleop': 0.0, 'hold': 0.0, 'stopped': 0.0}
        self.surprise, self.state, self.goal = 0.1, 'idle', 'none'
        self.planning = True
        rng = np.random.default_rng(0)
        self.wall = rng.integers(0, 256, (240, 640, 3), dtype=np.uint8)
        self.wall = np.repeat(np.repeat(self.wall[::16, ::16], 16, 0), 16, 1)
        create = probe.node.create_publisher
        self.image = create(Image, 'image', qos.IMAGE)
        self.odom = create(Odometry, 'odom', qos.SENSOR)
        self.scan = create(LaserScan, 'scan', qos.SENSOR)
        self.commands = {source: create(TwistStamped, f'cmd_vel_{source}', qos.COMMAND)
                         for source in ('auto', 'teleop')}
        self.surprises = create(Float32, 'surprise', qos.COMMAND)
        self.stops = create(Bool, 'emergency_stop', qos.STATE)
        self.goals = create(PoseStamped, 'goal_pose', qos.COMMAND)
        self.status = create(DiagnosticStatus, 'controller/status', qos.STATUS)
        self.modes = probe.listen(DiagnosticStatus, 'guardrail/status', qos.STATUS,
                                  keep=lambda m: values_of(m)['mode'])
        probe.node.create_subscription(TwistStamped, 'cmd_vel', self.drive, qos.COMMAND)
        self.ticks = 0

    def is_heard(self):
        """Whether the recorder listens to everything."""
        return all(each.get_subscription_count() for each in (
            self.image, self.odom, self.scan, self.surprises, self.stops, self.goals, self.status,
            *self.commands.values()))

    def now(self):
        return self.probe.node.get_clock().now().nanoseconds * 1e-9

    def drive(self, message):
        now = time.monotonic()
        dt, self.at = min(now - self.at, 0.1), now
        v, w = message.twist.linear.x, message.twist.angular.z
        self.pose = self.pose + dt * np.array(
            [v * math.cos(self.pose[2]), v * math.sin(self.pose[2]), w])
        self.twist = (v, w)
        self.way += abs(v) * dt
        if self.modes:
            self.ways[self.modes[-1]] += abs(v) * dt

    def send(self, source, v, w=0.1):
        message = TwistStamped()
        message.header.stamp = self.probe.node.get_clock().now().to_msg()
        message.header.frame_id = 'base_link'
        message.twist.linear.x, message.twist.angular.z = float(v), float(w)
        self.commands[source].publish(message)

    def tick(self, hand=None):
        """What a robot says in 50 ms."""
        stamp = self.now()
        self.odom.publish(to_odometry(stamp, self.pose, self.twist, 'odom', 'base_link'))
        if self.planning:
            self.send('auto', SPEED)
        if hand is not None:
            self.send('teleop', *hand)
        if self.ticks % 2 == 0:
            left = int(200 * self.way + 80 * self.pose[2]) % 320
            self.image.publish(to_image(self.wall[:, left:left + 320], stamp, 'camera'))
            self.scan.publish(to_scan(stamp, 'laser', -math.pi, math.pi / 90, 0.05, 12.0,
                                      np.full(180, 5.0)))
            self.surprises.publish(Float32(data=self.surprise))
        if self.ticks % 20 == 0:
            self.say()
        self.ticks += 1
        self.probe.spin(TICK_S)

    def say(self):
        self.status.publish(to_status('/controller: controller', OK, self.state, {
            'state': self.state, 'goal': self.goal, 'plan_ms': 40.0, 'deadline_misses': 0}))

    def until(self, mode, what, hand=None, timeout_s=15.0):
        end = time.monotonic() + timeout_s
        while not self.modes or self.modes[-1] != mode:
            assert time.monotonic() < end, f'waited in vain for {what}'
            self.tick(hand)

    def run(self, seconds, hand=None):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.tick(hand)

    def send_goal(self, x, y):
        self.goal, self.state = f'pose {x:.2f} {y:.2f}', 'planning'
        self.goals.publish(pose_goal(x, y))
        self.say()

    def reach(self):
        self.state = 'reached'
        self.say()

    def enable(self):
        answer = self.probe.call('guardrail/enable', SetBool, SetBool.Request(data=True))
        assert answer.success, answer.message

    def intervene(self, seconds=1.5):
        """Drive, and be taken over, held and stopped: once each."""
        self.until('auto', 'autonomy')
        self.send_goal(3.0, 0.0)
        self.run(2 * seconds)
        self.until('teleop', 'the takeover', hand=(0.2, 0.5))
        self.run(seconds, hand=(0.2, 0.5))
        self.until('hold', 'the hand to be gone')
        self.run(0.6)  # until the guardrail takes no more notice of it
        self.enable()
        self.until('auto', 'autonomy again')
        self.run(seconds)
        self.surprise = 1.0
        self.until('hold', 'the hold')
        self.surprise = 0.1
        self.run(0.5)
        self.enable()
        self.until('auto', 'autonomy after the hold')
        self.run(seconds)
        self.reach()
        self.run(0.5)
        self.stops.publish(Bool(data=True))
        self.until('stopped', 'the stop')
        self.run(1.0)


def finish(process):
    """End a node as ros2 launch does, and expect that it ends well."""
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0, process.log.read_text()
    assert 'Traceback' not in process.log.read_text(), process.log.read_text()


def wm(*arguments):
    """Run the command line: (exit code, stdout, stderr)."""
    done = subprocess.run([sys.executable, '-m', 'wm_controller.cli.main', *map(str, arguments)],
                          capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr
