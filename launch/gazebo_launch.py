# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The whole graph with Gazebo: world, robot, bridge, controller, guardrail.

ros2 launch wm_controller gazebo_launch.py headless:=false

Needs ros_gz (apt: ros-$ROS_DISTRO-ros-gz). Gazebo keeps the last command for ever; what stops the
robot is the guardrail, which publishes always.
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
from launch.substitutions import IfElseSubstitution, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from wm_controller.resources import dds_environment, find_config, share_directory

BRINGUP = Path(__file__).with_name('bringup_launch.py')
SHARE = share_directory()

PASSED_ON = (
    ('namespace', '', 'Namespace of the nodes and of their relative topics'),
    ('params_file', str(find_config('gazebo')), 'Parameters of controller and guardrail'),
    ('autostart', '', 'Configure and activate the controller at once'),
    ('use_respawn', 'false', 'Start a node again when it dies'),
    ('log_level', 'info', 'debug, info, warn, error or fatal'),
    ('model', '', 'World model: a file, or the name of a shipped one'),
    ('enable_stamped_cmd_vel', 'true', 'cmd_vel as TwistStamped (true) or Twist (false)'),
    ('use_sim_time', 'true', 'Take time from /clock, which Gazebo publishes'),
)
SIMULATION = (
    ('world', str(SHARE / 'worlds' / 'indoor.sdf'), 'World file'),
    ('robot', str(SHARE / 'worlds' / 'robot.sdf'), 'Robot model file'),
    ('bridge_file', str(find_config('gazebo_bridge')), 'Topics between ROS and Gazebo'),
    ('x_pose', '-1.75', 'Start of the robot in the world, m'),
    ('y_pose', '0.85', 'Start of the robot in the world, m'),
    ('yaw', '0.0', 'Start of the robot in the world, rad'),
    ('headless', 'true', 'Without a window; cameras are rendered off the screen'),
)


def generate_launch_description():
    """Describe arguments, environment, Gazebo, the bridge and the included bringup."""
    use_sim_time = ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)
    gazebo = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(
            PathJoinSubstitution([FindPackageShare('ros_gz_sim'), 'launch', 'gz_sim.launch.py'])),
        launch_arguments=[
            ('gz_args', [
                IfElseSubstitution(LaunchConfiguration('headless'),
                                   '-r -s --headless-rendering ', '-r '),
                LaunchConfiguration('world'),
            ]),
            ('on_exit_shutdown', 'true'),
        ],
    )
    spawn = Node(
        package='ros_gz_sim',
        executable='create',
        output='screen',
        arguments=[
            '-name', 'robot', '-file', LaunchConfiguration('robot'),
            '-x', LaunchConfiguration('x_pose'), '-y', LaunchConfiguration('y_pose'),
            '-z', '0.01', '-Y', LaunchConfiguration('yaw'),
        ],
    )
    # The bridge knows one type for cmd_vel; which one is decided here, with the guardrail's.
    twist = IfElseSubstitution(LaunchConfiguration('enable_stamped_cmd_vel'),
                               'geometry_msgs/msg/TwistStamped', 'geometry_msgs/msg/Twist')
    bridge = Node(
        package='ros_gz_bridge',
        executable='parameter_bridge',
        namespace=LaunchConfiguration('namespace'),
        output='screen',
        arguments=[['cmd_vel@', twist, ']gz.msgs.Twist']],
        parameters=[{'config_file': LaunchConfiguration('bridge_file'),
                     'use_sim_time': use_sim_time}],
        remappings=[('/tf', 'tf')],
    )
    bringup = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(BRINGUP)),
        launch_arguments=[(name, LaunchConfiguration(name)) for name, _, _ in PASSED_ON],
    )
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        namespace=LaunchConfiguration('namespace'),
        arguments=['-d', str(SHARE / 'config' / 'view.rviz')],
        parameters=[{'use_sim_time': use_sim_time}],
        remappings=[('/tf', 'tf'), ('/tf_static', 'tf_static')],
        condition=IfCondition(LaunchConfiguration('use_rviz')),
    )
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=meaning)
          for name, default, meaning in (*PASSED_ON, *SIMULATION)),
        DeclareLaunchArgument('use_rviz', default_value='false', description='Start RViz'),
        *(SetEnvironmentVariable(name, value) for name, value in dds_environment().items()),
        gazebo,
        spawn,
        bridge,
        bringup,
        rviz,
    ])
