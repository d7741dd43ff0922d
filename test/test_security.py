# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Who may say what: the SROS 2 policies against the nodes as they are; nothing is unpickled."""

import ast
from pathlib import Path
import time
import xml.etree.ElementTree as ElementTree

import pytest

rclpy = pytest.importorskip('rclpy')

ROOT = Path(__file__).resolve().parents[1]
POLICIES = ElementTree.parse(ROOT / 'config' / 'sros2' / 'policies.xml').getroot()
KINDS = {('topics', 'publish'): 'get_publisher_names_and_types_by_node',
         ('topics', 'subscribe'): 'get_subscriber_names_and_types_by_node',
         ('services', 'reply'): 'get_service_names_and_types_by_node',
         ('services', 'request'): 'get_client_names_and_types_by_node'}


def allowed(node, kind, access):
    """Names that the policy allows a node, resolved as ROS does."""
    profile, = (each for each in POLICIES.iter('profile') if each.get('node') == node)
    names = {item.text for block in profile.findall(kind) if block.get(access) == 'ALLOW'
             for item in block}
    return {f'/{node}{name[1:]}' if name.startswith('~') else '/' + name.lstrip('/')
            for name in names}


def nodes():
    return [profile.get('node') for profile in POLICIES.iter('profile')]


def test_only_the_guardrail_commands_the_wheels_and_only_hands_command_it():
    def publishers(topic):
        return {node for node in nodes() if topic in allowed(node, 'topics', 'publish')}

    assert publishers('/cmd_vel') == {'guardrail'}
    assert publishers('/cmd_vel_auto') == {'controller'}
    assert publishers('/cmd_vel_teleop') == {'panel', 'joystick'}
    assert {node for node in nodes()
            if '/guardrail/reset' in allowed(node, 'services', 'request')} <= {'panel', 'joystick'}


def test_the_policies_are_of_the_form_that_sros2_reads():
    assert POLICIES.tag == 'policy' and POLICIES.get('version') == '0.2.0'
    for enclave in POLICIES.iter('enclave'):
        profile, = enclave.iter('profile')
        assert enclave.get('path') == f'/{profile.get("node")}' and profile.get('ns') == '/'
        assert {block.tag for block in profile} <= {'topics', 'services', 'actions'}


@pytest.mark.parametrize('module, name, arguments', [
    ('guardrail', 'guardrail', ()), ('controller', 'controller', ('-p', 'model:=none')),
    ('simulator', 'simulator', ()), ('joystick', 'joystick', ()), ('recorder', 'recorder', ()),
    ('panel', 'panel', ('-p', 'port:=18437'))])
def test_a_node_does_nothing_that_its_policy_forbids(
        spawn_node, tmp_path, module, name, arguments):
    if module == 'recorder':
        arguments = ('-p', f'folder:={tmp_path}')
    process = spawn_node(f'wm_controller.nodes.{module}', '--ros-args', *arguments)
    context = rclpy.Context()
    context.init(args=[])
    looker = rclpy.create_node('looker', context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(looker)
    try:
        until, settled = time.monotonic() + 60.0, None
        while settled is None or time.monotonic() < settled:
            assert time.monotonic() < until and process.poll() is None, process.log.read_text()
            executor.spin_once(timeout_sec=0.1)
            there = (name, '/') in looker.get_node_names_and_namespaces()
            if there and settled is None:
                settled = time.monotonic() + 2.0
        for (kind, access), method in KINDS.items():
            names = {each for each, _ in getattr(looker, method)(name, '/')}
            actions = {each for each in names if '/_action/' in each}
            assert {each.split('/_action/')[0] for each in actions} <= allowed(
                name, 'actions', 'execute')
            assert names - actions <= allowed(name, kind, access), (kind, access)
            if access in ('publish', 'reply'):
                assert names, 'it was seen'
    finally:
        executor.remove_node(looker)
        looker.destroy_node()
        executor.shutdown()
        context.try_shutdown()


def test_nothing_is_unpickled():
    """No module calls what executes what it reads; torch.load is told weights only."""
    for path in (ROOT / 'wm_controller').rglob('*.py'):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = {alias.name for alias in node.names} | {getattr(node, 'module', '') or ''}
                assert not names & {'dill', 'cloudpickle', 'shelve', 'marshal'}, path
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == 'pickle':
                assert node.attr == 'UnpicklingError', path  # to be caught
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                if called.endswith('torch.load'):
                    assert given.get('weights_only') == 'True', path
                if called in ('np.load', 'numpy.load'):
                    assert given.get('allow_pickle', 'False') == 'False', path
                assert called not in ('eval', 'exec', 'yaml.load', 'yaml.unsafe_load'), path
