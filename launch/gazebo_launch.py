# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The whole graph with Gazebo: world, robot, bridge and bringup_launch.py, with its arguments.

ros2 launch wm_controller gazebo_launch.py headless:=false

Needs ros_gz (apt: ros-$ROS_DISTRO-ros-gz). Gazebo keeps the last command for ever; what stops the
robot is the guardrail, which publishes always.
"""

from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import IfElseSubstitution, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from wm_controller.nodes.launching import Argument, bringup, changed, declare, remappings
from wm_controller.resources import find_config, share_directory

WORLDS = share_directory() / 'worlds'
SIMULATION = (
    Argument('world', str(WORLDS / 'indoor.sdf'), 'World file'),
    Argument('robot', str(WORLDS / 'robot.sdf'), 'Robot model file'),
    Argument('bridge_file', str(find_config('gazebo_bridge')), 'Topics between ROS and Gazebo'),
    Argument('x_pose', '-1.75', 'Start of the robot in the world, m', float),
    Argument('y_pose', '0.85', 'Start of the robot in the world, m', float),
    Argument('yaw', '0.0', 'Start of the robot in the world, rad', float),
    Argument('headless', 'true', 'Without a window; cameras are rendered off the screen', bool),
)


def generate_launch_description():
    """Describe arguments, Gazebo, the bridge and the included bringup."""
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
        parameters=[{
            'config_file': LaunchConfiguration('bridge_file'),
            'use_sim_time': ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool),
        }],
        remappings=remappings(),
    )
    return LaunchDescription([
        *declare(
            *SIMULATION,
            changed('params_file', str(find_config('gazebo'))),
            changed('enable_stamped_cmd_vel', 'true'),
            changed('use_sim_time', 'true'),
        ),
        bringup(),
        gazebo,
        spawn,
        bridge,
    ])
