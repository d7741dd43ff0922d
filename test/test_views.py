# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""RViz and Foxglove show what the nodes really publish, and all of it that can be seen."""

import importlib
import json
import os
from pathlib import Path
import random
import re
import time
from types import SimpleNamespace

import pytest
import yaml

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402

from ros_probe import Probe, values_of  # noqa: E402
from wm_controller.evaluation.processes import Graph, NodeSpec, ros_environment  # noqa: E402
from wm_controller.nodes import qos  # noqa: E402
from wm_controller.resources import find_config, find_model  # noqa: E402

CONFIG = Path(__file__).resolve().parents[1] / 'config'
NODES = {'controller', 'guardrail', 'simulator'}
# What each display of rviz_default_plugins (Jazzy) subscribes to.
DISPLAYS = {
    'rviz_default_plugins/Odometry': 'nav_msgs/msg/Odometry',
    'rviz_default_plugins/LaserScan': 'sensor_msgs/msg/LaserScan',
    'rviz_default_plugins/Path': 'nav_msgs/msg/Path',
    'rviz_default_plugins/Pose': 'geometry_msgs/msg/PoseStamped',
    'rviz_default_plugins/MarkerArray': 'visualization_msgs/msg/MarkerArray',
    'rviz_default_plugins/Image': 'sensor_msgs/msg/Image',
}
WITHOUT_TOPIC = {'rviz_default_plugins/Grid', 'rviz_default_plugins/TF'}
# What Foxglove's 3D panel draws of what a planar robot has; odometry it shows through tf.
SCENE = {kind for kind in DISPLAYS.values() if not kind.endswith(('Odometry', 'Image'))}
GOAL_PICTURE = '/goal_image'  # goes to the controller, comes from nobody who is here


@pytest.fixture(scope='module')
def graph(tmp_path_factory):
    """Names and types of the running graph: `topics`, `published`, `heard`, `services`."""
    worker = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw')) % 10
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROS_DOMAIN_ID', str(1 + 10 * worker + random.SystemRandom().randrange(10)))
        patch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        robot = find_config('robot')
        nodes = [
            NodeSpec('controller', {'use_sim_time': True, 'model': str(find_model('indoor'))},
                     robot),
            NodeSpec('guardrail', {'use_sim_time': True}, robot),
            NodeSpec('simulator', {'camera_rate': 5.0}, find_config('simulator'))]
        with Graph(nodes, tmp_path_factory.mktemp('logs'), ros_environment()) as running, \
                Probe() as probe:
            keys = {}
            for topic in ('controller/status', 'guardrail/status'):
                keys[f'/{topic}'] = probe.listen(DiagnosticStatus, topic, qos.STATUS, values_of)
            node = probe.node

            def settled():
                running.check()
                time.sleep(0.05)
                return (set(node.get_node_names()) >= NODES
                        and node.get_subscriptions_info_by_topic('/goal_pose')
                        and node.get_publishers_info_by_topic('/memory') and all(keys.values()))
            probe.until(settled, 60.0, 'the three nodes')
            topics = {name: kinds[0] for name, kinds in node.get_topic_names_and_types()}
            yield SimpleNamespace(
                topics=topics,
                published={name for name in topics if _ours(
                    node.get_publishers_info_by_topic(name))},
                heard={name for name in topics if _ours(
                    node.get_subscriptions_info_by_topic(name))},
                best_effort={name for name in topics if any(
                    each.qos_profile.reliability == qos.BEST_EFFORT
                    for each in node.get_publishers_info_by_topic(name))},
                services={name: kinds[0] for name, kinds in node.get_service_names_and_types()},
                keys={topic: set(heard[-1]) for topic, heard in keys.items()})


def _ours(endpoints):
    return any(each.node_name in NODES for each in endpoints)


@pytest.fixture(scope='module')
def rviz():
    return yaml.safe_load((CONFIG / 'view.rviz').read_text())['Visualization Manager']


@pytest.fixture(scope='module')
def foxglove():
    return json.loads((CONFIG / 'foxglove.json').read_text())


def _drawn(rviz):
    return [(each['Class'], '/' + each['Topic']['Value']) for each in rviz['Displays']
            if each['Class'] not in WITHOUT_TOPIC]


def test_each_display_of_rviz_takes_the_type_of_its_topic(rviz, graph):
    for display, topic in _drawn(rviz):
        assert graph.topics.get(topic) == DISPLAYS[display], (display, topic)
        assert topic in graph.published | graph.heard, topic


def test_all_that_can_be_seen_is_in_rviz(rviz, graph):
    visible = {name for name in graph.published | graph.heard
               if graph.topics[name] in DISPLAYS.values()} - {GOAL_PICTURE}
    assert {'/image', '/imagination', '/scan', '/plan', '/plan_far', '/memory'} <= visible
    assert {topic for _, topic in _drawn(rviz)} == visible


def test_rviz_moves_with_a_namespace_and_sends_goals(rviz):
    tools = {each['Class']: each for each in rviz['Tools']}
    assert tools['rviz_default_plugins/SetGoal']['Topic']['Value'] == 'goal_pose'
    assert rviz['Global Options']['Fixed Frame'] == 'odom'
    for each in rviz['Displays']:
        assert not each.get('Topic', {}).get('Value', '').startswith('/')


def test_rviz_asks_for_no_more_than_the_nodes_offer(rviz, graph):
    """A listener that wants every message hears nothing of a best-effort camera."""
    asked = {'/' + each['Topic']['Value']: each['Topic'] for each in rviz['Displays']
             if 'Topic' in each}
    for topic in graph.best_effort & set(asked):
        assert asked[topic]['Reliability Policy'] == 'Best Effort', topic
    assert '/image' in graph.best_effort
    assert {each['Durability Policy'] for each in asked.values()} == {'Volatile'}


def test_every_panel_of_foxglove_has_its_place(foxglove):
    assert sorted(_leaves(foxglove['layout'])) == sorted(foxglove['configById'])


def _leaves(part):
    if isinstance(part, str):
        return [part]
    assert part['direction'] in ('row', 'column') and 0 < part['splitPercentage'] < 100
    return _leaves(part['first']) + _leaves(part['second'])


def test_foxglove_shows_what_the_nodes_publish(foxglove, graph):
    panels = _panels(foxglove)
    scene = panels['3D'][0]
    for topic in scene['topics']:
        assert graph.topics.get(topic) in SCENE, topic
    visible = {name for name in graph.published | graph.heard if graph.topics[name] in SCENE}
    assert set(scene['topics']) == visible
    assert graph.topics[scene['publish']['poseTopic']] == 'geometry_msgs/msg/PoseStamped'
    assert scene['publish']['poseTopic'] in graph.heard
    images = {each['imageMode']['imageTopic'] for each in panels['Image']}
    assert images == {'/image', '/imagination'}
    for each in panels['DiagnosticSummary']:
        assert graph.topics[each['topicToRender']] == 'diagnostic_msgs/msg/DiagnosticArray'
    for each in panels['RawMessages']:
        assert each['topicPath'] in graph.published


def test_every_curve_of_foxglove_names_a_field_that_exists(foxglove, graph):
    panels = _panels(foxglove)
    paths = [path['value'] for kind in ('Plot', 'StateTransitions') for panel in panels[kind]
             for path in panel['paths']]
    assert len(paths) >= 10
    for path in paths:
        topic, fields = re.fullmatch(r'(/[\w/]+)\.(.+)', path).groups()
        assert topic in graph.published, path
        key = re.fullmatch(r'values\[:\]\{key=="(\w+)"\}\.value', fields)
        if key:
            assert key[1] in graph.keys[topic], path
        else:
            assert _field_type(graph.topics[topic], fields) in ('float', 'double'), path


def _field_type(kind, fields):
    for field in fields.split('.'):
        package, *_, name = kind.split('/')
        message = getattr(importlib.import_module(f'{package}.msg'), name)
        kind = message.get_fields_and_field_types()[field]
    return kind


def test_every_button_of_foxglove_calls_a_service_or_sends_what_is_heard(foxglove, graph):
    panels = _panels(foxglove)
    for each in panels['CallService']:
        kind = graph.services[each['serviceName']]
        request = json.loads(each['requestPayload'])
        assert set(request) == ({'data'} if kind == 'std_srvs/srv/SetBool' else set()), each
    called = {each['serviceName'] for each in panels['CallService']}
    assert {f'/guardrail/{name}' for name in ('emergency_stop', 'reset', 'enable')} <= called
    for each in panels['Publish']:
        assert each['topicName'] in graph.heard
        assert each['datatype'] == graph.topics[each['topicName']]
        assert json.loads(each['value'])['header']['frame_id'] == 'odom'


def test_foxglove_has_no_stick_whose_messages_the_guardrail_would_not_hear(foxglove, graph):
    """Foxglove's Teleop panel sends Twist, and the guardrail takes stamped commands only."""
    assert graph.topics['/cmd_vel_teleop'] == 'geometry_msgs/msg/TwistStamped'
    assert 'Teleop' not in _panels(foxglove)


def _panels(foxglove):
    found = {}
    for name, panel in foxglove['configById'].items():
        found.setdefault(name.split('!')[0], []).append(panel)
    return found
