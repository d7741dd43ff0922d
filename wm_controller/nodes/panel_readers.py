# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Messages to what the page's map draws: plain lists, metres in odom, rounded, of bounded size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
import numpy as np
from rcl_interfaces.msg import ParameterValue
from visualization_msgs.msg import Marker, MarkerArray

from wm_controller.nodes.conversions import frame_name, MessageError, read_goal
from wm_controller.safety.limits import Limits

MOST_POINTS = 4000
MOST_MARKERS = 32
SHAPES = {Marker.SPHERE_LIST: 'dots', Marker.POINTS: 'dots', Marker.LINE_LIST: 'lines',
          Marker.LINE_STRIP: 'strip', Marker.CUBE_LIST: 'cells'}
AREAS = ('footprint', 'footprint_radius', 'geofence', 'keep_out', 'scan_x', 'scan_y', 'scan_yaw')
"""Parameters of the guardrail that the map shows or needs."""


def flat(points: np.ndarray) -> list[float]:
    """Points (N, 2) as x, y, x, y, ..., to the centimetre; those that are not finite are left out.

    Of too many, evenly spread ones are kept.
    """
    points = np.asarray(points, float).reshape(-1, 2)
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) > MOST_POINTS:
        points = points[np.linspace(0, len(points) - 1, MOST_POINTS).astype(int)]
    return [float(number) for number in np.round(points, 2).ravel()]


def read_path(message: Path, odom_frame: str) -> list[float]:
    """Positions of a path, flat; raises MessageError in another frame."""
    _check_frame('plan', message.header.frame_id, odom_frame)
    return flat(np.array([(pose.pose.position.x, pose.pose.position.y)
                          for pose in message.poses[:MOST_POINTS]]))


def read_markers(message: MarkerArray, odom_frame: str) -> list[dict[str, Any]]:
    """Markers that are lists of points, with name, shape, colour, size (m) and points (flat)."""
    found = []
    for marker in message.markers[:MOST_MARKERS]:
        shape = SHAPES.get(marker.type)
        if shape is None or marker.action != Marker.ADD or not marker.points:
            continue
        _check_frame('memory', marker.header.frame_id, odom_frame)
        red, green, blue = (round(255 * min(max(part, 0.0), 1.0)) for part in (
            marker.color.r, marker.color.g, marker.color.b))
        found.append({
            'name': ''.join(c for c in marker.ns if c.isalnum())[:20],
            'kind': shape, 'colour': f'rgb({red} {green} {blue})',
            'alpha': round(float(marker.color.a), 2), 'size': round(float(marker.scale.x), 3),
            'points': flat(np.array([(p.x, p.y) for p in marker.points[:MOST_POINTS]]))})
    return found


def read_goal_pose(message: PoseStamped, odom_frame: str) -> list[float]:
    """Goal x m, y m, yaw rad."""
    goal = read_goal(message)
    _check_frame('goal_pose', goal.frame_id, odom_frame)
    return [round(goal.x, 3), round(goal.y, 3), round(goal.yaw, 3)]


def read_areas(values: Mapping[str, ParameterValue]) -> dict[str, Any]:
    """Footprint (base frame), geofence and keep-out polygons (odom) of the guardrail, flat.

    Raises ValueError where they enclose nothing.
    """
    limits = Limits(
        footprint=tuple(values['footprint'].double_array_value),
        footprint_radius=values['footprint_radius'].double_value,
        geofence=tuple(values['geofence'].double_array_value),
        keep_out=tuple(values['keep_out'].double_array_value))
    outline = limits.outline
    return {
        'outline': flat(outline.vertices) if len(outline.vertices) > 2 else [],
        'radius': round(outline.radius, 3),
        'geofence': [flat(polygon) for polygon in limits.areas.geofence],
        'keep_out': [flat(polygon) for polygon in limits.areas.keep_out]}


def _check_frame(topic: str, frame_id: str, odom_frame: str) -> None:
    if frame_name(frame_id) != odom_frame:
        raise MessageError(f"{topic}: frame_id is '{frame_id}', the map is in '{odom_frame}'")
