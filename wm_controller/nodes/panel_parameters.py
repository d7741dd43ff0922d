# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the panel. The token is not among them: any node may ask for those."""

from __future__ import annotations

from typing import Any

from rclpy.parameter import Parameter

from wm_controller.errors import InputError
from wm_controller.nodes.runtime import Spec

SPECS = (
    Spec('host', '127.0.0.1', 'address to listen on; any but a loopback one needs a token',
         fixed=True),
    Spec('port', 8080, 'port to listen on', 1, 65535, fixed=True),
    Spec('token_file', '', 'file with the token of the operators; or give parameter token, '
         'which the node never tells', fixed=True),
    Spec('allowed_hosts', [], 'further names under which browsers reach this machine',
         kind=Parameter.Type.STRING_ARRAY),
    Spec('image_transport', 'raw', 'raw: topic image; compressed: image/compressed',
         choices=('raw', 'compressed'), fixed=True),
    Spec('image_width', 640, 'widest image sent to a browser', 64, 1920, unit='px', fixed=True),
    Spec('image_rate', 10.0, 'images a second sent to a browser, at most', 0.5, 30.0, unit='Hz',
         fixed=True),
    Spec('max_linear_velocity', 0.5, 'stick pushed fully ahead, at full speed', 0.01, 5.0,
         unit='m/s', fixed=True),
    Spec('min_linear_velocity', -0.25, 'stick pulled fully back, at full speed', -5.0, 0.0,
         unit='m/s', fixed=True),
    Spec('max_angular_velocity', 1.5, 'stick pushed fully aside, at full speed', 0.01, 10.0,
         unit='rad/s', fixed=True),
    Spec('slow_share', 0.4, 'share of that which the stick has until it is set to full speed',
         0.05, 1.0, unit='1', fixed=True),
    Spec('base_frame', 'base_link', 'frame of the robot; frame_id of cmd_vel_teleop', fixed=True),
    Spec('odom_frame', 'odom', 'frame of the map and of goals', fixed=True),
)


def take_token(node: Any) -> str:
    """
    Token given as parameter `token`, or an empty text; raises InputError.

    It is taken from what was given, never declared: a declared parameter is told to everybody on
    /parameter_events.
    """
    given = node._parameter_overrides.pop('token', None)
    if given is None:
        return ''
    if given.type_ != Parameter.Type.STRING:
        raise InputError("parameter token: must be a text; put it in quotes: token:='...'")
    return str(given.value)
