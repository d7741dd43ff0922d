# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Drive by hand and record it all as bags, for `wm ingest`: data of your own robot.

ros2 launch wm_controller record_launch.py record_folder:=drives image:=/camera/image_raw

bringup_launch.py without controller; guardrail, panel, joystick and recorder.
"""

from launch import LaunchDescription

from wm_controller.nodes.launching import bringup, changed, declare


def generate_launch_description():
    """Describe arguments and the included bringup."""
    return LaunchDescription([
        *declare(
            changed('use_controller', 'false'),
            changed('use_panel', 'true'),
            changed('use_joystick', 'true'),
            changed('use_recorder', 'true'),
            changed('record_all', 'true'),
        ),
        bringup(),
    ])
