# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What the files of launch/ share: their arguments, and what these mean for a node.

ROS's launch is imported inside the functions, so that the tables can be read without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from wm_controller.resources import dds_environment, find_config, share_directory

END_S = '15'  # after Ctrl-C: a recorder completes its bag, a controller what it is loading
BOOLEANS = ('true', 'false', 'True', 'False')


@dataclass(frozen=True)
class Argument:
    """
    An argument of a launch file.

    Without a default it must be given. It may be a parameter of some `nodes` (`parameter` where
    that has another name); empty, it leaves that to params_file.
    """

    name: str
    default: str | None
    meaning: str
    kind: type = str
    nodes: tuple[str, ...] = ()
    parameter: str = ''
    choices: tuple[str, ...] = ()

    def values(self) -> list[str] | None:
        """Values that are taken; None: any."""
        allowed = self.choices or (BOOLEANS if self.kind is bool else ())
        return ['', *allowed] if allowed and self.default == '' else list(allowed) or None


GENERAL = (
    Argument('namespace', '', 'Namespace of the nodes and of their relative topics'),
    Argument('params_file', str(find_config('robot')), 'Parameters of the nodes'),
    Argument('use_respawn', 'false', 'Start a node again when it dies; the guardrail always is',
             bool),
    Argument('log_level', 'info', 'Least severe line that is logged',
             choices=('debug', 'info', 'warn', 'error', 'fatal')),
)
PARTS = (
    Argument('use_controller', 'true', 'Start the controller', bool),
    Argument('use_panel', 'false', "Start the operator's web panel", bool),
    Argument('use_joystick', 'false', 'Start the joystick', bool),
    Argument('use_recorder', 'false', 'Start the recorder of interventions', bool),
    Argument('use_rviz', 'false', 'Start RViz', bool),
)
EVERY = ('controller', 'guardrail', 'joystick', 'panel', 'recorder')
# Given, these win over params_file.
PARAMETERS = (
    Argument('use_sim_time', '', 'Take time from topic clock', bool, EVERY),
    Argument('autostart', '', 'Configure and activate the controller at once', bool,
             ('controller',)),
    Argument('autonomy_on_start', '', 'false: autonomy waits for guardrail/enable', bool,
             ('guardrail',)),
    Argument('model', '', 'World model: a file, or the name of a shipped one', str,
             ('controller', 'simulator')),
    Argument('map_file', '', 'Places: read at the start, written by controller/remember', str,
             ('controller',)),
    Argument('enable_stamped_cmd_vel', '', 'cmd_vel as TwistStamped (true) or Twist (false)', bool,
             ('controller', 'guardrail', 'recorder', 'simulator')),
    Argument('image_transport', '', 'Topic image (raw), or image/compressed', str,
             ('controller', 'panel', 'recorder'), choices=('raw', 'compressed')),
    Argument('panel_host', '', 'Address of the panel; any but a loopback one needs a token', str,
             ('panel',), 'host'),
    Argument('panel_port', '', 'Port of the panel', int, ('panel',), 'port'),
    Argument('panel_token_file', '', "File with the token of the panel's operators", str,
             ('panel',), 'token_file'),
    Argument('joystick_device', '', 'Where the pad is read: topic joy, by pygame, or auto', str,
             ('joystick',), 'device', ('auto', 'joy', 'pygame')),
    Argument('record_all', '', 'Record the whole drive, too', bool, ('recorder',)),
    Argument('record_folder', '', 'Folder of the recordings', str, ('recorder',), 'folder'),
)
# Topic of the nodes -> argument that gives it another name.
TOPICS = {
    topic: Argument(topic.strip('/').replace('/', '_'), default, meaning)
    for topic, default, meaning in (
        ('image', 'image', 'Camera; <image>/compressed where that transport is chosen'),
        ('camera_info', 'camera_info', 'What the camera is like'),
        ('odom', 'odom', 'Odometry'),
        ('scan', 'scan', 'Laser'),
        ('joy', 'joy', 'Pad, as joy_node reads it'),
        ('goal_pose', 'goal_pose', 'Goals'),
        ('goal_image', 'goal_image', 'Goals as pictures'),
        ('cmd_vel', 'cmd_vel', 'Final commands, to the base'),
        ('cmd_vel_auto', 'cmd_vel_auto', "Controller's commands, to the guardrail"),
        ('cmd_vel_teleop', 'cmd_vel_teleop', "Operator's commands, to the guardrail"),
        ('emergency_stop', 'emergency_stop', 'Stop, to the guardrail'),
        ('speed_scale', 'speed_scale', 'Share of top speed, to the guardrail'),
        ('surprise', 'surprise', 'Surprise of the world model'),
        ('plan', 'plan', 'Imagined way'),
        ('plan_far', 'plan_far', 'Way over the map of places'),
        ('imagination', 'imagination', 'Imagined images'),
        ('memory', 'memory', 'Places and space, as markers'),
        ('guardrail/status', 'guardrail/status', 'State of the guardrail'),
        ('controller/status', 'controller/status', 'State of the controller'),
        ('/diagnostics', '/diagnostics', 'Diagnostics of all nodes'),
        ('/clock', '/clock', 'Simulated time'),
        ('/tf', 'tf', 'Transforms'),
        ('/tf_static', 'tf_static', 'Transforms that stay'),
    )
}
BRINGUP = (*GENERAL, *PARTS, *PARAMETERS, *TOPICS.values())


def changed(name: str, default: str | None) -> Argument:
    """Argument of bringup_launch.py with another default; None: it must be given."""
    argument, = (each for each in BRINGUP if each.name == name)
    return replace(argument, default=default)


def declare(*arguments: Argument) -> list[Any]:
    """
    Declare arguments, and set the environment that raw images need.

    The first declaration of a name wins: what a file changes comes before `bringup()`.
    """
    from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable

    return [
        *(DeclareLaunchArgument(each.name, default_value=each.default, choices=each.values(),
                                description=each.meaning) for each in arguments),
        *(SetEnvironmentVariable(name, value) for name, value in dds_environment().items()),
    ]


def bringup() -> Any:
    """Include bringup_launch.py; it takes every argument over as it is set by then."""
    from launch.actions import IncludeLaunchDescription
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    return IncludeLaunchDescription(PythonLaunchDescriptionSource(
        str(share_directory() / 'launch' / 'bringup_launch.py')))


def remappings() -> list[Any]:
    """Remap every topic to what its argument says."""
    from launch.substitutions import LaunchConfiguration

    pairs: list[Any] = [(topic, LaunchConfiguration(argument.name))
                        for topic, argument in TOPICS.items()]
    return [*pairs, ('image/compressed', [LaunchConfiguration('image'), '/compressed'])]


def given(context: Any, node: str, arguments: Iterable[Argument] = PARAMETERS) -> dict[str, Any]:
    """Parameters of a node that arguments set, by name."""
    from launch.substitutions import LaunchConfiguration
    from launch_ros.parameter_descriptions import ParameterValue

    return {
        each.parameter or each.name:
            ParameterValue(LaunchConfiguration(each.name), value_type=each.kind)
        for each in arguments
        if node in each.nodes and context.launch_configurations[each.name]}


def our_node(context: Any, name: str, *parameters: Any, **options: Any) -> Any:
    """
    Make the node `name`, of executable `<name>_node`, with topics and log level as told.

    It has its full name, so that a parameter given to it wins wherever params_file has it.
    """
    from launch.substitutions import LaunchConfiguration
    from launch_ros.actions import Node

    return Node(
        package='wm_controller', executable=f'{name}_node', name=name,
        namespace=LaunchConfiguration('namespace'), output='screen', respawn_delay=1.0,
        sigterm_timeout=END_S,
        arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')],
        remappings=remappings(),
        parameters=[each for each in (*parameters, given(context, name)) if each], **options)
