# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The whole graph with the simulated robot: simulator and bringup_launch.py, with its arguments.

ros2 launch wm_controller demo_launch.py room_seed:=7 use_rviz:=true
ros2 launch wm_controller demo_launch.py world:=model   # the robot drives in its imagination
ros2 topic pub -1 goal_pose geometry_msgs/PoseStamped \
  '{header: {frame_id: odom}, pose: {position: {x: 3.0}, orientation: {w: 1.0}}}'
"""

from launch import LaunchDescription
from launch.actions import OpaqueFunction
from launch.substitutions import LaunchConfiguration

from wm_controller.nodes.launching import Argument, bringup, changed, declare, given, our_node
from wm_controller.resources import find_config

NODE = ('simulator',)
SIMULATION = (
    Argument('simulator_params_file', str(find_config('simulator')),
             'Parameters of the simulator'),
    Argument('world', '', 'mujoco: physics in a room; model: what the world model imagines of it',
             nodes=NODE, choices=('mujoco', 'model')),
    Argument('room_seed', '', 'Seed of the room; the same seed gives the same room', int, NODE),
    Argument('family', '', 'Rooms: evaluation (never trained on) or training', nodes=NODE,
             choices=('evaluation', 'training')),
    Argument('start_pose', '', 'Start in the room: [x, y, yaw], m, rad; else drawn from the seed',
             list[float], NODE),
    Argument('people', '', 'People who walk about, 0 to 3; -1: as the room has', int, NODE),
    Argument('speed_factor', '', 'Simulated seconds per second', float, NODE),
    Argument('headless', '', 'false opens a window with the simulated room (needs a screen)',
             bool, NODE),
)


def simulator(context):
    """Make the simulator."""
    return [our_node(context, 'simulator', LaunchConfiguration('simulator_params_file'),
                     given(context, 'simulator', SIMULATION))]


def generate_launch_description():
    """Describe arguments, simulator and the included bringup."""
    return LaunchDescription([
        *declare(
            *SIMULATION,
            changed('use_sim_time', 'true'),
            # Each robot lives in a time of its own: a relative name follows its namespace.
            changed('clock', 'clock'),
        ),
        bringup(),
        OpaqueFunction(function=simulator),
    ])
