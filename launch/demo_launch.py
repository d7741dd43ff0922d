# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The whole graph with the simulated robot: simulator, controller, guardrail.

ros2 launch wm_controller demo_launch.py room_seed:=7 use_rviz:=true
ros2 launch wm_controller demo_launch.py world:=model   # the robot drives in its imagination
ros2 topic pub -1 goal_pose geometry_msgs/PoseStamped \
  '{header: {frame_id: odom}, pose: {position: {x: 3.0}, orientation: {w: 1.0}}}'
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from wm_controller.resources import dds_environment, find_config, share_directory

BRINGUP = Path(__file__).with_name('bringup_launch.py')

# name, default, meaning; the first ones go on to bringup_launch.py
PASSED_ON = (
    ('namespace', '', 'Namespace of the nodes and of their relative topics'),
    ('params_file', str(find_config('robot')), 'Parameters of controller and guardrail'),
    ('autostart', '', 'Configure and activate the controller at once'),
    ('use_respawn', 'false', 'Start a node again when it dies'),
    ('log_level', 'info', 'debug, info, warn, error or fatal'),
    ('model', '', 'World model: a file, or the name of a shipped one'),
    ('enable_stamped_cmd_vel', 'true', 'cmd_vel as TwistStamped (true) or Twist (false)'),
    ('use_sim_time', 'true', 'Take time from /clock, which the simulator publishes'),
)
SIMULATION = (
    ('simulator_params_file', str(find_config('simulator')), 'Parameters of the simulator'),
    ('world', 'mujoco', 'mujoco: physics in a room; model: what the world model imagines of it'),
    ('room_seed', '1', 'Seed of the room; the same seed gives the same room'),
    ('family', 'evaluation', 'Family of rooms: evaluation (never trained on) or training'),
    ('speed_factor', '1.0', 'Simulated seconds per second'),
    ('headless', 'true', 'false opens a window with the simulated room (needs a screen)'),
    ('use_rviz', 'false', 'Start RViz with the topics of this package'),
)


def generate_launch_description():
    """Describe arguments, environment, simulator and the included bringup."""
    namespace = LaunchConfiguration('namespace')
    simulator = Node(
        package='wm_controller',
        executable='simulator_node',
        namespace=namespace,
        output='screen',
        arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')],
        remappings=[('/tf', 'tf'), ('/tf_static', 'tf_static')],
        parameters=[LaunchConfiguration('simulator_params_file'), {
            'world': ParameterValue(LaunchConfiguration('world'), value_type=str),
            'model': ParameterValue(LaunchConfiguration('model'), value_type=str),
            'room_seed': ParameterValue(LaunchConfiguration('room_seed'), value_type=int),
            'family': ParameterValue(LaunchConfiguration('family'), value_type=str),
            'speed_factor': ParameterValue(LaunchConfiguration('speed_factor'), value_type=float),
            'headless': ParameterValue(LaunchConfiguration('headless'), value_type=bool),
            'enable_stamped_cmd_vel': ParameterValue(
                LaunchConfiguration('enable_stamped_cmd_vel'), value_type=bool),
        }],
    )
    bringup = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(BRINGUP)),
        launch_arguments=[(name, LaunchConfiguration(name)) for name, _, _ in PASSED_ON],
    )
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        namespace=namespace,
        arguments=['-d', str(share_directory() / 'config' / 'view.rviz')],
        parameters=[{
            'use_sim_time': ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool),
        }],
        remappings=[('/tf', 'tf'), ('/tf_static', 'tf_static')],
        condition=IfCondition(LaunchConfiguration('use_rviz')),
    )
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=meaning)
          for name, default, meaning in (*PASSED_ON, *SIMULATION)),
        *(SetEnvironmentVariable(name, value) for name, value in dds_environment().items()),
        simulator,
        bringup,
        rviz,
    ])
