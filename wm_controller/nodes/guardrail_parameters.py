# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the guardrail: every field of `Limits`, and what belongs to ROS alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from rclpy.parameter import Parameter

from wm_controller.nodes.runtime import Spec
from wm_controller.safety.limits import InvalidLimit, Limits

THREAD_PRIORITY = 50
AT_START = ('rate', 'autonomy_on_start')


def _of_limits() -> tuple[Spec, ...]:
    return tuple(
        Spec(each.name, list(each.default) if isinstance(each.default, tuple) else each.default,
             each.metadata['text'], each.metadata.get('low'), each.metadata.get('high'),
             kind=Parameter.Type.DOUBLE_ARRAY if isinstance(each.default, tuple) else None,
             unit=each.metadata.get('unit', ''), fixed=each.name in AT_START)
        for each in fields(Limits))


SPECS = (
    *_of_limits(),
    Spec('enable_stamped_cmd_vel', True, 'publish cmd_vel as TwistStamped; false: Twist',
         fixed=True),
    Spec('base_frame', 'base_link', 'frame of the robot; base_footprint is taken for base_link',
         fixed=True),
    Spec('odom_frame', 'odom', 'frame of odometry, geofence and keep_out', fixed=True),
    Spec('scan_x', 0.0, 'scanner ahead of the base frame; used where there is no tf2', -10.0, 10.0,
         unit='m', fixed=True),
    Spec('scan_y', 0.0, 'scanner left of the base frame; used where there is no tf2', -10.0, 10.0,
         unit='m', fixed=True),
    Spec('scan_yaw', 0.0, 'scanner turned to the left; used where there is no tf2', -6.3, 6.3,
         unit='rad', fixed=True),
    Spec('sensor_range', 0.0, 'how far the scanner sees; 0: its own range_max', 0.0, 1000.0,
         unit='m'),
    Spec('lock_memory', True, 'keep its memory from being reclaimed, where it may', fixed=True),
    Spec('thread_priority', THREAD_PRIORITY,
         'run before ordinary processes (SCHED_FIFO), where it may; 0: no', 0, 99, fixed=True),
)


def limits_of(values: Mapping[str, Any]) -> Limits:
    """Limits by parameter values; raises `InvalidLimit`, also where the sensor sees too little."""
    limits = Limits(**{each.name: values[each.name] for each in fields(Limits)})
    if values['sensor_range'] > 0.0:
        limits.check_sight(values['sensor_range'])
    return limits


__all__ = ['InvalidLimit', 'limits_of', 'SPECS']
