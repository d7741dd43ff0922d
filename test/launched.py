# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Launch files run as `ros2 launch` runs them, from a colcon workspace, where launch is there."""

import contextlib
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time

import pytest

from wm_controller.resources import dds_environment

ROOT = Path(__file__).resolve().parents[1]
END_S = 60.0

LAUNCHER = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
path, *arguments = sys.argv[1:]
service = LaunchService()
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(path),
    launch_arguments=[argument.split(':=') for argument in arguments])]))
sys.exit(service.run())
"""


def environment_of_launch():
    """Environment in which ROS's launch can be imported; skips where there is none."""
    environment = {**os.environ, **dds_environment()}
    # Away from the checkout, whose folder launch/ would hide the module.
    done = subprocess.run(
        [sys.executable, '-c', 'from launch import LaunchService; import launch_ros.actions'],
        cwd='/', env=environment, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("needs ROS's launch and launch_ros, which are not on PyPI")
    return environment


def make_workspace(folder):
    """Build a colcon workspace with the package; return the environment that uses it."""
    environment = environment_of_launch()
    colcon = shutil.which('colcon', path=f'{Path(sys.executable).parent}:{os.environ["PATH"]}')
    if colcon is None:
        pytest.skip('needs colcon')
    subprocess.run([colcon, '--log-base', str(folder / 'log'), 'build', '--paths', str(ROOT)],
                   cwd=folder, check=True, capture_output=True)
    prefix = folder / 'install' / 'wm_controller'
    code = next(prefix.glob('lib/python*/site-packages'))
    ament = os.pathsep.join([str(prefix), environment.get('AMENT_PREFIX_PATH', sys.prefix)])
    python_path = os.pathsep.join([str(code), environment.get('PYTHONPATH', '')])
    return {**environment, 'AMENT_PREFIX_PATH': ament, 'PYTHONPATH': python_path,
            'ROS_HOME': str(folder / 'ros_home'), 'ROS_LOG_DIR': str(folder / 'ros_log')}


def launch_file(workspace, name):
    """Path of an installed launch file."""
    prefix = Path(workspace['AMENT_PREFIX_PATH'].split(os.pathsep)[0])
    return prefix / 'share' / 'wm_controller' / 'launch' / f'{name}_launch.py'


class Launched:
    """A launch file that runs, as a context manager; what it and its nodes say is in `output`."""

    def __init__(self, workspace, path, *arguments):
        self._command = [sys.executable, '-u', '-c', LAUNCHER, str(path), *map(str, arguments)]
        self._log = Path(workspace['ROS_LOG_DIR']).with_name(f'launched_{time.monotonic_ns()}.log')
        # In the domain of this test.
        self._environment = {**workspace, 'ROS_DOMAIN_ID': os.environ['ROS_DOMAIN_ID'],
                             'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}

    def __enter__(self):
        with self._log.open('wb') as stream:
            self._process = subprocess.Popen(
                self._command, cwd='/', env=self._environment, stdout=stream,
                stderr=subprocess.STDOUT, start_new_session=True)
        return self

    def __exit__(self, failure, *_):
        self._signal(signal.SIGKILL)
        self._process.wait(timeout=END_S)
        if failure:  # then pytest shows it
            print(self.output)

    @property
    def output(self):
        return self._log.read_text(errors='replace')

    @property
    def ended(self):
        return self._process.poll() is not None

    def press_ctrl_c(self, meanwhile):
        """Interrupt everything, as a terminal does; `meanwhile()` until all has ended."""
        self._signal(signal.SIGINT)
        until = time.monotonic() + END_S
        while not self.ended:
            assert time.monotonic() < until, f'still there after {END_S:g} s:\n{self.output}'
            meanwhile()

    def _signal(self, number):
        # The session's group: launch and its nodes, nobody else's processes.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def assert_all_ended_well(self, processes):
        """Every process ended by itself, in time and without a word of trouble."""
        text = self.output
        assert text.count('process has finished cleanly') == processes, text
        for trouble in ('Traceback', 'process has died', 'escalating', 'Error'):
            assert trouble not in text, text
