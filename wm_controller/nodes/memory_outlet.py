# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Topic `memory`: the graph of places as markers, while somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from geometry_msgs.msg import Point
import numpy as np
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from wm_controller.nodes import qos
from wm_controller.nodes.conversions import to_stamp

PERIOD_S = 1.0
MOST_PLACES = 400  # the nearest ones: a message for each of thousands would make a plan late
PLACE_M, WAY_M, ROUTE_M = 0.1, 0.02, 0.06
PLACE = ColorRGBA(r=0.0, g=0.45, b=0.7, a=0.8)
WAY = ColorRGBA(r=0.6, g=0.6, b=0.6, a=0.6)
BLOCKED = ColorRGBA(r=0.84, g=0.37, b=0.0, a=0.9)
ROUTE = ColorRGBA(r=0.0, g=0.62, b=0.45, a=1.0)


class MemoryOutlet:
    """Publishes what a wayfinder remembers; called from the planner's thread."""

    def __init__(self, node: Any) -> None:
        self._publisher = node.create_lifecycle_publisher(MarkerArray, 'memory', qos.STATE)
        self._wayfinder: Callable[[], Any] = lambda: None
        self._frame = 'odom'
        self._due_s = -float('inf')

    def begin(self, wayfinder: Callable[[], Any], frame: str) -> None:
        """Show what this returns from now on: a `planning.wayfinder.Wayfinder`, or None."""
        self._wayfinder, self._frame, self._due_s = wayfinder, frame, -float('inf')

    def show(self, stamp: float, pose: np.ndarray) -> None:
        """Publish what lies about `pose` (3,) in odom, if it is time and somebody listens."""
        if stamp < self._due_s and stamp > self._due_s - 2 * PERIOD_S:
            return
        finder = self._wayfinder()
        if finder is None or not self._publisher.get_subscription_count():
            return
        self._due_s = stamp + PERIOD_S
        markers = MarkerArray(markers=list(self._markers(finder, stamp, pose)))
        self._publisher.publish(markers)

    def _markers(self, finder: Any, stamp: float, pose: np.ndarray) -> Iterator[Marker]:
        """Yield places, ways, blocked ways and the route, those that are empty too."""
        at = finder.in_odom(finder.current.places.poses)
        away = np.hypot(*(at[:, :2] - pose[:2]).T)
        near = np.zeros(len(at), bool)
        near[np.argsort(away)[:MOST_PLACES]] = True
        ends = finder.current.ways.ends
        shown = near[ends].all(-1) if len(ends) else np.zeros(0, bool)
        open_ = finder.current.ways.open(stamp)
        yield self._marker('places', Marker.SPHERE_LIST, stamp, PLACE_M, PLACE, at[near])
        yield self._marker('ways', Marker.LINE_LIST, stamp, WAY_M, WAY,
                           at[ends[shown & open_].ravel()])
        yield self._marker('blocked', Marker.LINE_LIST, stamp, 2 * WAY_M, BLOCKED,
                           at[ends[shown & ~open_].ravel()])
        route = [number for number in finder.route if number < len(at)]
        yield self._marker('route', Marker.LINE_STRIP, stamp, ROUTE_M, ROUTE, at[route])

    def _marker(self, name: str, kind: int, stamp: float, size: float, colour: ColorRGBA,
                places: np.ndarray) -> Marker:
        marker = Marker(ns=name, type=kind, action=Marker.ADD, color=colour)
        marker.header.frame_id, marker.header.stamp = self._frame, to_stamp(stamp)
        marker.pose.orientation.w = 1.0
        marker.scale.x = marker.scale.y = marker.scale.z = size
        marker.points = [Point(x=float(x), y=float(y)) for x, y, _ in places]
        if not marker.points or (kind == Marker.LINE_STRIP and len(marker.points) < 2):
            marker.points, marker.action = [], Marker.DELETE  # RViz complains of empty lists
        return marker
