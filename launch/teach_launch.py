# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Drive a route by hand, from its start to its end, so that the controller can repeat it.

ros2 launch wm_controller teach_launch.py map_file:=$HOME/places.h5 image:=/camera/image_raw

bringup_launch.py with panel and joystick; autonomy waits for guardrail/enable.
"""

from launch import LaunchDescription
from launch.actions import LogInfo
from launch.substitutions import LaunchConfiguration

from wm_controller.nodes.launching import bringup, changed, declare


def generate_launch_description():
    """Describe arguments, the included bringup, and what to do."""
    service = ['ros2 service call ', LaunchConfiguration('namespace'), '/controller/']
    return LaunchDescription([
        *declare(
            changed('map_file', None),
            changed('use_panel', 'true'),
            changed('use_joystick', 'true'),
            changed('autonomy_on_start', 'false'),
        ),
        bringup(),
        LogInfo(msg=['drive the route by hand; a new one in an old map begins with: ', *service,
                     'forget std_srvs/srv/Trigger']),
        LogInfo(msg=['at its end, to write it to ', LaunchConfiguration('map_file'), ': ',
                     *service, 'remember std_srvs/srv/Trigger']),
    ])
