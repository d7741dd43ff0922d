# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Launch files name what exists; parameter files hold what the nodes take; both are executed."""

import ast
import contextlib
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
LAUNCH_FILES = sorted((ROOT / 'launch').glob('*_launch.py'))
COMMON_ARGUMENTS = {'namespace', 'use_sim_time', 'params_file', 'autostart', 'use_respawn',
                    'log_level', 'model', 'enable_stamped_cmd_vel'}
ARGUMENTS = {
    'bringup': COMMON_ARGUMENTS | {'image', 'odom', 'scan', 'cmd_vel'},
    'demo': COMMON_ARGUMENTS | {'headless', 'use_rviz', 'room_seed', 'world'},
    'gazebo': COMMON_ARGUMENTS | {'headless', 'use_rviz', 'world', 'x_pose', 'y_pose', 'yaw'},
}
EXECUTABLES = {
    'bringup': {'controller_node', 'guardrail_node'},
    'demo': {'simulator_node', 'rviz2'},
    'gazebo': {'create', 'parameter_bridge', 'rviz2'},
}


def name_of(path):
    return path.stem.removesuffix('_launch')


def tree_of(path):
    return ast.parse(path.read_text(encoding='utf-8'))


def declared_arguments(path):
    """Arguments: first entries of the tables at the top, and of literal declarations."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
            found |= {row.elts[0].value for row in node.value.elts
                      if isinstance(row, ast.Tuple) and len(row.elts) == 3}
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'DeclareLaunchArgument':
            first = node.args[0]
            found |= {first.value} if isinstance(first, ast.Constant) else set()
    return found


def used_arguments(path):
    return {node.args[0].value for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'LaunchConfiguration'
            and isinstance(node.args[0], ast.Constant)}


def executables(path):
    """Pairs of package (None where it is given in common) and executable of each Node."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'Node':
            given = {key.arg: key.value for key in node.keywords}
            package = given['package'].value if 'package' in given else None
            yield package, given['executable'].value


@pytest.mark.parametrize('path', LAUNCH_FILES, ids=name_of)
def test_arguments_are_declared_and_complete(path):
    declared = declared_arguments(path)
    assert ARGUMENTS[name_of(path)] <= declared
    assert used_arguments(path) <= declared


@pytest.mark.parametrize('path', LAUNCH_FILES, ids=name_of)
def test_executables_exist(path):
    scripts = (ROOT / 'setup.py').read_text()
    found = list(executables(path))
    assert {executable for _, executable in found} == EXECUTABLES[name_of(path)]
    for package, executable in found:
        if package in (None, 'wm_controller'):
            assert f"'{executable}': 'wm_controller.nodes." in scripts


@pytest.mark.parametrize('path', LAUNCH_FILES, ids=name_of)
def test_files_that_are_named_exist(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'find_config':
            assert (ROOT / 'config' / f'{node.args[0].value}.yaml').is_file()
        if isinstance(node, ast.Constant) and str(node.value).endswith(('.sdf', '.rviz')):
            assert list(ROOT.glob(f'*/{node.value}')), node.value


def specifications():
    """Declared parameters of each node, by node name."""
    pytest.importorskip('rclpy', reason='needs rclpy')
    from wm_controller.nodes import (
        controller_parameters,
        guardrail_parameters,
        joystick,
        panel_parameters,
        recorder,
        simulator,
    )

    return {'controller': controller_parameters.PARAMETERS,
            'guardrail': guardrail_parameters.SPECS, 'simulator': simulator.PARAMETERS,
            'joystick': joystick.SPECS, 'panel': panel_parameters.SPECS,
            'recorder': recorder.SPECS}


NODES_OF = {'robot': {'controller', 'guardrail', 'joystick', 'panel', 'recorder'},
            'gazebo': {'controller', 'guardrail'}, 'simulator': {'simulator'}}


@pytest.mark.parametrize('file', ['robot', 'simulator', 'gazebo'])
def test_parameter_files_hold_what_the_nodes_take(file):
    nodes = specifications()
    content = yaml.safe_load((ROOT / 'config' / f'{file}.yaml').read_text())
    present = {key.removeprefix('/**/') for key in content} - {'/**'}
    assert present == NODES_OF[file]
    common = content.get('/**', {}).get('ros__parameters', {})
    for node in present:
        own = content[f'/**/{node}']['ros__parameters']
        specs = {spec.name: spec for spec in nodes[node]}
        assert set(own) <= set(specs), f'{node} does not know {set(own) - set(specs)}'
        missing = set(specs) - set(own) - set(common)
        assert not missing, f'{file}.yaml does not show {missing} of {node}'
        for name, value in own.items():
            assert not specs[name].refusal(value), specs[name].refusal(value)
            assert type(value) is type(specs[name].default) or isinstance(value, list), name
    known = {spec.name for node in present for spec in nodes[node]}
    assert set(common) <= known


@pytest.mark.parametrize('file', ['robot', 'simulator', 'gazebo'])
def test_what_is_common_comes_last(file):
    # A later entry wins, and `-p name:=value` joins the entry `/**`.
    keys = list(yaml.safe_load((ROOT / 'config' / f'{file}.yaml').read_text()))
    assert '/**' not in keys[:-1]


def environment_of_launch():
    """Environment in which ROS's launch can be imported; skips where there is none."""
    environment = dict(os.environ)
    # Away from the checkout, whose folder launch/ would hide the module.
    done = subprocess.run(
        [sys.executable, '-c', 'from launch import LaunchService; import launch_ros.actions'],
        cwd='/', env=environment, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("needs ROS's launch and launch_ros, which are not on PyPI")
    return environment


@pytest.fixture
def workspace(tmp_path):
    """Build a colcon workspace with the package, and return the environment that uses it."""
    environment = environment_of_launch()
    colcon = shutil.which('colcon', path=f'{Path(sys.executable).parent}:{os.environ["PATH"]}')
    if colcon is None:
        pytest.skip('needs colcon')
    subprocess.run([colcon, '--log-base', str(tmp_path / 'log'), 'build', '--paths', str(ROOT)],
                   cwd=tmp_path, check=True, capture_output=True)
    prefix = tmp_path / 'install' / 'wm_controller'
    code = next(prefix.glob('lib/python*/site-packages'))
    ament = os.pathsep.join([str(prefix), environment.get('AMENT_PREFIX_PATH', sys.prefix)])
    python_path = os.pathsep.join([str(code), environment.get('PYTHONPATH', '')])
    return {**environment, 'AMENT_PREFIX_PATH': ament, 'PYTHONPATH': python_path}


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


def test_bringup_starts_a_guardrail_that_publishes_under_other_names(workspace, ros_domain):
    import rclpy

    share = Path(workspace['AMENT_PREFIX_PATH'].split(os.pathsep)[0]) / 'share/wm_controller'
    process = subprocess.Popen(
        [sys.executable, '-c', LAUNCHER, str(share / 'launch' / 'bringup_launch.py'),
         'namespace:=robot', 'cmd_vel:=base/cmd_vel', 'autostart:=false',
         'enable_stamped_cmd_vel:=false'], cwd='/',
        env={**workspace, 'ROS_DOMAIN_ID': str(ros_domain)}, stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, start_new_session=True)
    rclpy.init()
    try:
        from geometry_msgs.msg import Twist
        node = rclpy.create_node('listener')
        heard = []
        node.create_subscription(Twist, '/robot/base/cmd_vel', heard.append, 1)
        until = time.monotonic() + 30
        names = set()
        while time.monotonic() < until and not (
                len(heard) > 10 and {'controller', 'guardrail'} <= names):
            rclpy.spin_once(node, timeout_sec=0.2)
            names = {name for name, space in node.get_node_names_and_namespaces()
                     if space == '/robot'}
        assert len(heard) > 10
        assert {'controller', 'guardrail'} <= names
    finally:
        rclpy.try_shutdown()
        process.send_signal(signal.SIGINT)  # launch passes it on and waits; SIGTERM orphans nodes
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize('path', LAUNCH_FILES, ids=name_of)
def test_launch_files_load_in_launch(path):
    environment = environment_of_launch()
    program = (
        'import importlib.util, sys; sys.path.append(sys.argv[2])\n'
        'spec = importlib.util.spec_from_file_location("file", sys.argv[1])\n'
        'module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n'
        'print(sorted(a.name for a in module.generate_launch_description()'
        '.get_launch_arguments()))')
    done = subprocess.run([sys.executable, '-c', program, str(path), str(ROOT)], cwd='/',
                          env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(ast.literal_eval(done.stdout)) >= ARGUMENTS[name_of(path)]
