# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Launch files and documents name what exists; parameter files hold what the nodes take.

What needs ROS's launch is in test_launch_graphs.py, but for reading the files.
"""

import ast
from pathlib import Path
import re
import subprocess
import sys

import pytest
import yaml

from launched import environment_of_launch
from wm_controller.nodes.launching import BRINGUP, EVERY, PARAMETERS, PARTS

ROOT = Path(__file__).resolve().parents[1]
LAUNCH_FILES = sorted((ROOT / 'launch').glob('*_launch.py'))
NAV2 = {'namespace', 'use_sim_time', 'params_file', 'autostart', 'use_respawn', 'log_level'}
COMMON = {argument.name for argument in BRINGUP}
# What a file has beside the arguments of bringup, and what it starts itself.
OWN = {
    'bringup': set(),
    'demo': {'simulator_params_file', 'world', 'room_seed', 'family', 'start_pose', 'people',
             'speed_factor', 'headless'},
    'gazebo': {'world', 'robot', 'bridge_file', 'x_pose', 'y_pose', 'yaw', 'headless'},
    'record': set(),
    'teach': set(),
}
DOCUMENTS = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md')), *LAUNCH_FILES]


def name_of(path):
    return path.stem.removesuffix('_launch')


def tree_of(path):
    return ast.parse(path.read_text(encoding='utf-8'))


def first_words(path, function):
    """First arguments, where they are literal, of the calls of a function in a file."""
    return {node.args[0].value for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == function
            and node.args and isinstance(node.args[0], ast.Constant)}


def test_arguments_are_those_of_nav2():
    assert NAV2 <= COMMON
    assert len(COMMON) == len(BRINGUP), 'an argument twice'
    assert all(argument.meaning for argument in BRINGUP)


@pytest.mark.parametrize('path', LAUNCH_FILES, ids=name_of)
def test_arguments_that_are_used_are_declared(path):
    own = first_words(path, 'Argument')
    assert own == OWN[name_of(path)]
    assert first_words(path, 'changed') <= COMMON
    assert first_words(path, 'LaunchConfiguration') <= own | COMMON
    assert name_of(path) == 'bringup' or 'bringup()' in path.read_text()


def test_arguments_are_parameters_of_the_nodes_that_they_go_to():
    nodes = specifications()
    for argument in PARAMETERS:
        for node in argument.nodes:
            if argument.name == 'use_sim_time':  # of every node, declared by rclpy
                continue
            spec = next(s for s in nodes[node] if s.name == (argument.parameter or argument.name))
            assert isinstance(spec.default, argument.kind), argument.name
            assert set(argument.choices) <= set(spec.choices), argument.name


def test_executables_exist():
    scripts = (ROOT / 'setup.py').read_text()
    for node in (*EVERY, 'simulator'):
        assert f"'{node}_node': 'wm_controller.nodes.{node}:main'" in scripts
    assert {f'use_{node}' for node in EVERY} - {'use_guardrail'} <= {p.name for p in PARTS}


@pytest.mark.parametrize('path', LAUNCH_FILES, ids=name_of)
def test_files_that_are_named_exist(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'find_config':
            assert (ROOT / 'config' / f'{node.args[0].value}.yaml').is_file()
        if isinstance(node, ast.Constant) and str(node.value).endswith(('.sdf', '.rviz')):
            assert list(ROOT.glob(f'*/{node.value}')), node.value


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda path: path.name)
def test_launch_commands_in_documents_would_be_understood(path):
    text = path.read_text().replace('\\\n', ' ')
    for file, rest in re.findall(r'ros2 launch wm_controller (\w+)_launch\.py(.*)', text):
        known = COMMON | OWN[file]
        given = set(re.findall(r'(\w+):=', rest.partition('#')[0]))
        assert given <= known, f'{file}_launch.py has no {given - known}'


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


def test_parameters_in_documents_are_taken_by_the_nodes():
    nodes = specifications()
    blocks = re.findall(r'```yaml\n(.*?)```', (ROOT / 'docs/gazebo.md').read_text(), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        for key, content in yaml.safe_load(block).items():
            node = key.removeprefix('/**').strip('/')
            specs = {spec.name: spec for each in ([node] if node else ['controller', 'guardrail'])
                     for spec in nodes[each]}
            for name, value in content['ros__parameters'].items():
                assert not specs[name].refusal(value), f'{key}: {name}'


@pytest.mark.parametrize('path', LAUNCH_FILES, ids=name_of)
def test_launch_files_load_in_launch(path):
    program = (
        'import importlib.util, sys; sys.path.append(sys.argv[2])\n'
        'spec = importlib.util.spec_from_file_location("file", sys.argv[1])\n'
        'module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n'
        'print({a.name: None if a.default_value is None else\n'
        '       "".join(part.text for part in a.default_value) for a in\n'
        '       module.generate_launch_description().get_launch_arguments()})')
    done = subprocess.run([sys.executable, '-c', program, str(path), str(ROOT)], cwd='/',
                          env=environment_of_launch(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    arguments = ast.literal_eval(done.stdout)
    assert COMMON | OWN[name_of(path)] <= set(arguments)
    assert [name for name, default in arguments.items() if default is None] == (
        ['map_file'] if name_of(path) == 'teach' else [])
