# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Topic `memory`: places, frontiers and space as markers, while somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from geometry_msgs.msg import Point
import numpy as np
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from wm_controller.nodes import qos
from wm_controller.nodes.conversions import to_stamp
from wm_controller.planning.outline import Outline, outline

PERIOD_S = 1.0
MOST_CELLS = 800  # of space, the nearest ones: thousands of points would make a plan late
PLACE_M, WAY_M, ROUTE_M, FRONTIER_M = 0.1, 0.02, 0.06, 0.2
PLACE = ColorRGBA(r=0.0, g=0.45, b=0.7, a=0.8)
WAY = ColorRGBA(r=0.6, g=0.6, b=0.6, a=0.6)
BLOCKED = ColorRGBA(r=0.84, g=0.37, b=0.0, a=0.9)
ROUTE = ColorRGBA(r=0.0, g=0.62, b=0.45, a=1.0)
FRONTIER = ColorRGBA(r=0.94, g=0.89, b=0.26, a=0.9)
TARGET = ColorRGBA(r=0.8, g=0.47, b=0.65, a=1.0)
SPACE = ColorRGBA(r=0.3, g=0.3, b=0.3, a=0.7)


class MemoryOutlet:
    """Publishes what a pilot remembers; called from the planner's thread."""

    def __init__(self, node: Any) -> None:
        self._publisher = node.create_lifecycle_publisher(MarkerArray, 'memory', qos.STATE)
        self._pilot: Callable[[], Any] = lambda: None
        self._frame = 'odom'
        self._due_s = -float('inf')

    def begin(self, pilot: Callable[[], Any], frame: str) -> None:
        """Show what this remembers from now on, see `planning.outline`: a pilot, or None."""
        self._pilot, self._frame, self._due_s = pilot, frame, -float('inf')

    def show(self, stamp: float, pose: np.ndarray) -> None:
        """Publish what lies about `pose` (3,) in odom, if it is time and somebody listens."""
        if stamp < self._due_s and stamp > self._due_s - 2 * PERIOD_S:
            return
        pilot = self._pilot()
        if pilot is None or not self._publisher.get_subscription_count():
            return
        self._due_s = stamp + PERIOD_S
        known = outline(pilot, stamp, pose)
        self._publisher.publish(MarkerArray(markers=list(self._markers(known, stamp, pose))))

    def _markers(self, known: Outline, stamp: float, pose: np.ndarray) -> Iterator[Marker]:
        """Yield a marker of each kind, those that are empty too."""
        at, ways = known.places, known.ways
        yield self._marker('places', Marker.SPHERE_LIST, stamp, PLACE_M, PLACE, at)
        yield self._marker('ways', Marker.LINE_LIST, stamp, WAY_M, WAY,
                           at[ways[~known.blocked].ravel()])
        yield self._marker('blocked', Marker.LINE_LIST, stamp, 2 * WAY_M, BLOCKED,
                           at[ways[known.blocked].ravel()])
        yield self._marker('route', Marker.LINE_STRIP, stamp, ROUTE_M, ROUTE, at[known.route])
        yield self._marker('frontiers', Marker.SPHERE_LIST, stamp, FRONTIER_M, FRONTIER,
                           known.frontiers)
        target = known.frontiers[:0] if known.target is None else known.target[None]
        yield self._marker('target', Marker.SPHERE_LIST, stamp, FRONTIER_M, TARGET, target)
        space, size = known.space, 0.1
        cells = known.frontiers[:0]
        if space is not None:
            cells, size = space.occupied, space.resolution
            cells = cells[np.argsort(np.hypot(*(cells - pose[:2]).T))[:MOST_CELLS]]
        yield self._marker('space', Marker.CUBE_LIST, stamp, size, SPACE, cells)

    def _marker(self, name: str, kind: int, stamp: float, size: float, colour: ColorRGBA,
                places: np.ndarray) -> Marker:
        marker = Marker(ns=name, type=kind, action=Marker.ADD, color=colour)
        marker.header.frame_id, marker.header.stamp = self._frame, to_stamp(stamp)
        marker.pose.orientation.w = 1.0
        marker.scale.x = marker.scale.y = marker.scale.z = size
        marker.points = [Point(x=float(x), y=float(y)) for x, y in places]
        if not marker.points or (kind == Marker.LINE_STRIP and len(marker.points) < 2):
            marker.points, marker.action = [], Marker.DELETE  # RViz complains of empty lists
        return marker
