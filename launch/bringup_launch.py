# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Controller and guardrail for a robot that is there already; on demand panel, joystick, recorder.

ros2 launch wm_controller bringup_launch.py image:=/camera/image_raw use_panel:=true
"""

from launch import LaunchDescription
from launch.actions import OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from wm_controller.nodes.launching import BRINGUP, declare, our_node, remappings
from wm_controller.resources import share_directory


def nodes(context):
    """Make what is wanted; a guardrail that died always comes back: it is what stops."""
    params_file = LaunchConfiguration('params_file')
    return [
        our_node(context, 'guardrail', params_file, respawn=True),
        *(our_node(context, name, params_file, respawn=LaunchConfiguration('use_respawn'),
                   condition=IfCondition(LaunchConfiguration(f'use_{name}')))
          for name in ('controller', 'joystick', 'panel', 'recorder')),
    ]


def rviz(context):
    """RViz knows no parameter file: without use_sim_time it runs on the machine's time."""
    sim_time = context.launch_configurations['use_sim_time'].lower() == 'true'
    return [Node(
        package='rviz2', executable='rviz2', namespace=LaunchConfiguration('namespace'),
        arguments=['-d', str(share_directory() / 'config' / 'view.rviz')],
        parameters=[{'use_sim_time': sim_time}],
        remappings=remappings(), condition=IfCondition(LaunchConfiguration('use_rviz')),
    )]


def generate_launch_description():
    """Describe arguments, environment and nodes."""
    return LaunchDescription([
        *declare(*BRINGUP), OpaqueFunction(function=nodes), OpaqueFunction(function=rviz)])
