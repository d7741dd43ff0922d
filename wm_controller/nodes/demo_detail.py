# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The ears of `wm demo --rerun`: scan, imagination, surprise, memory, as the topics have them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from nav_msgs.msg import Odometry, Path
import numpy as np
from sensor_msgs.msg import Image, LaserScan
from std_msgs.msg import Float32
from visualization_msgs.msg import MarkerArray

from wm_controller.evaluation.detail import Detail
from wm_controller.evaluation.recorder import DriveRecorder
from wm_controller.nodes import qos
from wm_controller.nodes.conversions import planar_pose, scan_points
from wm_controller.nodes.images import read_image
from wm_controller.planning.contract import Plan
from wm_controller.planning.outline import Outline

Watched = Callable[[], tuple[DriveRecorder, float] | None]
ToWorld = Callable[[np.ndarray], np.ndarray]


class DetailEars:
    """Fills the `Detail` of the drive that is being recorded, and its moments.

    `watched` tells the recorder and the time since the drive began, None between drives.
    `from_base` and `from_odom` bring poses (...,3) into the world.
    """

    def __init__(self, node: Any, watched: Watched, from_base: ToWorld, from_odom: ToWorld
                 ) -> None:
        self._watched, self._from_base, self._from_odom = watched, from_base, from_odom
        self._path = self._far = np.zeros((0, 3))

        def subscribe(kind: type, topic: str, take: Callable[[Detail, float, Any], None],
                      profile: Any) -> None:
            node.create_subscription(kind, topic, lambda message: self._pass(take, message),
                                     profile)

        subscribe(Odometry, 'odom', self._on_odometry, qos.SENSOR)
        subscribe(LaserScan, 'scan', self._on_scan, qos.SENSOR)
        subscribe(Image, 'imagination', self._on_imagination, qos.COMMAND)
        subscribe(Float32, 'surprise', self._on_surprise, qos.COMMAND)
        subscribe(DiagnosticStatus, 'controller/status', self._on_controller, qos.STATUS)
        subscribe(Path, 'plan', self._on_plan, qos.COMMAND)
        subscribe(Path, 'plan_far', self._on_plan_far, qos.COMMAND)
        subscribe(MarkerArray, 'memory', self._on_memory, qos.STATE)

    def _pass(self, take: Callable[[Detail, float, Any], None], message: Any) -> None:
        watched = self._watched()
        if watched is not None and watched[0].detail is not None:
            take(watched[0].detail, watched[1], message)

    def _on_odometry(self, detail: Detail, t: float, message: Odometry) -> None:
        detail.measure(t, message.twist.twist.linear.x, message.twist.twist.angular.z)

    def _on_scan(self, detail: Detail, t: float, message: LaserScan) -> None:
        points = scan_points(message)  # the simulator's laser sits at the base
        poses = np.column_stack([points, np.zeros(len(points))])
        detail.scan(t, self._from_base(poses)[:, :2])

    def _on_imagination(self, detail: Detail, t: float, message: Image) -> None:
        if detail.wants_picture(t):
            detail.imagine(t, read_image(message))

    def _on_surprise(self, detail: Detail, t: float, message: Float32) -> None:
        detail.think(t, surprise=message.data)

    def _on_controller(self, detail: Detail, t: float, message: DiagnosticStatus) -> None:
        values = {pair.key: pair.value for pair in message.values}
        if values.get('state') == 'planning':
            with suppress(KeyError, ValueError):  # no plan yet
                detail.think(t, plan_s=float(values['plan_ms']) / 1e3)

    def _on_plan(self, _: Detail, __: float, message: Path) -> None:
        self._path = _poses(message)

    def _on_plan_far(self, _: Detail, __: float, message: Path) -> None:
        self._far = _poses(message)

    def _on_memory(self, _: Detail, t: float, message: MarkerArray) -> None:
        watched = self._watched()
        if watched is not None and watched[0].wants_moment(t):
            plan = Plan(t, path=self._path, far_path=self._far)
            watched[0].moment(t, plan, read_outline(message), self._from_odom)


def read_outline(message: MarkerArray) -> Outline:
    """Read back what topic `memory` shows of a pilot; space, of which it has points only, is left.

    Ways are lines between places there, and numbers of places here.
    """
    drawn = {marker.ns: np.array([[point.x, point.y] for point in marker.points]).reshape(-1, 2)
             for marker in message.markers}
    nothing = np.zeros((0, 2))
    places = drawn.get('places', nothing)
    number = {tuple(place): i for i, place in enumerate(places.tolist())}
    ways, blocked = (np.array([number[tuple(end)] for end in drawn.get(name, nothing).tolist()],
                              np.int64).reshape(-1, 2) for name in ('ways', 'blocked'))
    target = drawn.get('target', nothing)
    return Outline(
        places=places, ways=np.vstack([ways, blocked]),
        blocked=np.arange(len(ways) + len(blocked)) >= len(ways),
        route=np.array([number[tuple(at)] for at in drawn.get('route', nothing).tolist()],
                       np.int64),
        frontiers=drawn.get('frontiers', nothing), target=target[0] if len(target) else None)


def _poses(message: Path) -> np.ndarray:
    return np.array([planar_pose(each.pose, 'plan') for each in message.poses]).reshape(-1, 3)
