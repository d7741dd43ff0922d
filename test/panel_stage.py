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
