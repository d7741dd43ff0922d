# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Controller and guardrail for a robot that is there already.

ros2 launch wm_controller bringup_launch.py image:=/camera/image_raw cmd_vel:=/cmd_vel
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
import yaml

from wm_controller.resources import dds_environment, find_config

# name, default, meaning
ARGUMENTS = (
    ('namespace', '', 'Namespace of the nodes and of their relative topics'),
    ('params_file', str(find_config('robot')), 'Parameters of both nodes'),
    ('use_respawn', 'false', 'Start a node again when it dies (it starts without a goal)'),
    ('log_level', 'info', 'debug, info, warn, error or fatal'),
    ('image', 'image', 'Topic of the camera; <image>/compressed where that transport is chosen'),
    ('odom', 'odom', 'Topic of the odometry'),
    ('scan', 'scan', 'Topic of the laser'),
    ('cmd_vel', 'cmd_vel', 'Topic of the final commands, to the base'),
)
# Given on the command line these win over params_file; empty, they leave it alone.
OVERRIDES = (
    ('use_sim_time', '', 'Take time from /clock'),
    ('autostart', '', 'Configure and activate the controller at once'),
    ('model', '', 'World model: a file, or the name of a shipped one'),
    ('enable_stamped_cmd_vel', '', 'cmd_vel as TwistStamped (true) or Twist (false)'),
)


def nodes(context):
    """Start both nodes; a guardrail that died is always started again, it is what stops."""
    given = {name: context.launch_configurations[name] for name, _, _ in OVERRIDES}
    overrides = {name: yaml.safe_load(value) for name, value in given.items() if value}
    for_guardrail = {name: value for name, value in overrides.items()
                     if name in ('use_sim_time', 'enable_stamped_cmd_vel')}
    image = LaunchConfiguration('image')
    common = {
        'package': 'wm_controller',
        'namespace': LaunchConfiguration('namespace'),
        'output': 'screen',
        'respawn_delay': 1.0,
        'arguments': ['--ros-args', '--log-level', LaunchConfiguration('log_level')],
        'remappings': [
            ('image', image),
            ('image/compressed', [image, '/compressed']),
            ('odom', LaunchConfiguration('odom')),
            ('scan', LaunchConfiguration('scan')),
            ('cmd_vel', LaunchConfiguration('cmd_vel')),
            ('/tf', 'tf'),
            ('/tf_static', 'tf_static'),
        ],
    }
    params_file = LaunchConfiguration('params_file')
    return [
        Node(executable='guardrail_node', respawn=True,
             parameters=[params_file, for_guardrail], **common),
        Node(executable='controller_node', respawn=LaunchConfiguration('use_respawn'),
             parameters=[params_file, overrides], **common),
    ]


def generate_launch_description():
    """Describe arguments, environment and nodes."""
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=meaning)
          for name, default, meaning in (*ARGUMENTS, *OVERRIDES)),
        *(SetEnvironmentVariable(name, value) for name, value in dds_environment().items()),
        OpaqueFunction(function=nodes),
    ])
