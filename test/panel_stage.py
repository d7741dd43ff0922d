# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A stage for the panel: guardrail, camera and panel as processes, a line that can be cut."""

import contextlib
import http.client
import os
from pathlib import Path
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped, TwistStamped
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from ros_probe import values_of
from wm_controller.nodes import qos

TOKEN = 'a token of the operators'
ALL = QoSProfile(depth=1000)
GONE_S = 0.5  # the promise: commands have ended this long after the finger, the page or the line
ROOT = Path(__file__).resolve().parents[1]

ROBOT = """
import time, numpy as np, rclpy
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image
from wm_controller.nodes import qos
from wm_controller.nodes.conversions import to_odometry
from wm_controller.nodes.images import to_image
rclpy.init()
node = rclpy.create_node('robot')
images = node.create_publisher(Image, 'image', qos.IMAGE)
odometry = node.create_publisher(Odometry, 'odom', qos.STATE)
picture = np.full((48, 64, 3), (20, 200, 60), np.uint8)
while True:
    now = node.get_clock().now().nanoseconds * 1e-9
    images.publish(to_image(picture, now, 'camera'))
    odometry.publish(to_odometry(now, np.array([2.0, -1.0, 0.5]), np.array([0.1, 0.0]),
                                 'odom', 'base_link'))
    time.sleep(0.05)
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def processes(folder):
    """Start Python processes: start(name, *arguments) -> Popen with the path of its `log`."""
    running = []

    def start(name, *arguments):
        log = folder / f'{name}_{len(running)}.log'
        with log.open('wb') as stream:
            process = subprocess.Popen(
                [sys.executable, *map(str, arguments)], cwd=ROOT, stdout=stream,
                stderr=subprocess.STDOUT, start_new_session=True)
        process.log = log
        running.append(process)
        return process

    yield start
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=60)


def panel_arguments(port, **parameters):
    """Command line of a panel."""
    given = [part for name, value in {'port': port, **parameters}.items()
             for part in ('-p', f'{name}:={value}')]
    return ['-m', 'wm_controller.nodes.panel', '--ros-args', *given]


def handshake(port, path, **headers):
    """Status of a websocket's opening."""
    line = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
    line.request('GET', path, headers={
        'Connection': 'Upgrade', 'Upgrade': 'websocket', 'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', **headers})
    with contextlib.closing(line):
        return line.getresponse().status


def request(url, method='GET', body=None, **headers):
    """(status, headers, text) of a request of no browser."""
    made = urllib.request.Request(url, data=body, method=method, headers={
        name.replace('_', '-'): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(made, timeout=10) as reply:
            return reply.status, reply.headers, reply.read().decode('utf-8', 'replace')
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode('utf-8', 'replace')


def wait_for(url, process, timeout_s=40.0):
    """Wait until a panel answers."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        assert process.poll() is None, process.log.read_text()
        with contextlib.suppress(OSError):
            return request(url)
        time.sleep(0.1)
    raise AssertionError(f'no page at {url}: {process.log.read_text()}')


class Cable:
    """A TCP relay to a port of this machine; `pulled`, it carries nothing and closes nothing."""

    def __init__(self, port):
        self._target = port
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port = self._listener.getsockname()[1]
        self.plugged = threading.Event()
        self.plugged.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def pull(self):
        self.plugged.clear()

    def plug(self):
        self.plugged.set()

    def close(self):
        self._listener.close()
        self.plugged.set()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.create_connection(('127.0.0.1', self._target))
                for source, sink in ((here, there), (there, here)):
                    threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.plugged.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Stage:
    """Guardrail, robot and panel as processes, a browser, and a probe."""

    def __init__(self, start, probe, browser):
        self.probe, self.browser, self.start = probe, browser, start
        self.port = free_port()
        self.url = f'http://127.0.0.1:{self.port}/'
        self.teleop = probe.listen(TwistStamped, 'cmd_vel_teleop', ALL, lambda m: (
            m.header.stamp.sec + m.header.stamp.nanosec * 1e-9, m.twist.linear.x,
            m.twist.angular.z))
        self.statuses = probe.listen(DiagnosticStatus, 'guardrail/status', qos.STATUS, values_of)
        self.goals = probe.listen(PoseStamped, 'goal_pose')
        self.pictures = probe.listen(Image, 'goal_image')
        self.guardrail = self.start_guardrail()
        self.robot = start('robot', '-c', ROBOT)
        self.panel = start('panel', *panel_arguments(self.port, min_linear_velocity=-0.25))
        wait_for(self.url, self.panel)

    def start_guardrail(self):
        return self.start('guardrail', '-m', 'wm_controller.nodes.guardrail', '--ros-args',
                          '-p', 'keep_out:=[5.0, 5.0, 6.0, 5.0, 6.0, 6.0]')

    def tokened(self):
        """Another panel, with a token: port, address, process."""
        port = free_port()
        panel = self.start('tokened', *panel_arguments(port, host='0.0.0.0', token=f"'{TOKEN}'"))
        wait_for(f'http://127.0.0.1:{port}/', panel)
        return port, f'http://127.0.0.1:{port}/', panel

    def autonomy(self):
        """Bring it back to where it began, as a program may on this machine."""
        for name in ('reset', 'enable'):
            seen = str(time.monotonic())
            assert request(f'{self.url}do/{name}', 'POST', b'', x_seen=seen)[0] == 200
        self.mode('auto')

    def mode(self, wanted):
        self.probe.until(lambda: self.statuses and self.statuses[-1]['mode'] == wanted, 5.0,
                         f'mode {wanted}')

    def answer(self, page, button):
        """Press a button and return what the page says to it."""
        page.evaluate('document.querySelector("#toast").textContent = ""')
        page.click(f'.act.{button}')
        page.wait_for_function('document.querySelector("#toast").textContent')
        return page.inner_text('#toast')

    def hold(self, page, dx=0, dy=-60):
        """Touch the stick and push it, and wait until the robot is told."""
        box = page.locator('.stick').bounding_box()
        x, y = box['x'] + 90, box['y'] + 100
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + dx, y + dy, steps=3)
        self.probe.until(lambda: self.teleop and self.teleop[-1][1] > 0.15, 20.0, 'the stick')

    def ended(self, since):
        """Wait for silence; check that it came in time and that zero was the last word."""
        self.probe.spin(0.8)
        stamp, v, w = self.teleop[-1]
        assert (v, w) == (0.0, 0.0), 'the last word is zero'
        assert [v for t, v, _ in self.teleop if t > since + GONE_S] == []
        moving = [t for t, v, _ in self.teleop if v > 0.0]
        assert sum(t > moving[-1] for t, _, _ in self.teleop) == 1, 'one zero, then silence'
        return stamp - since
