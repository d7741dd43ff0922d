# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Finds the way to what is out of sight: over places that were seen before, and where they are."""

from collections.abc import Sequence
from dataclasses import dataclass
import hashlib
import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
import torch
from torch import nn, Tensor

from wm_controller.errors import InputError
from wm_controller.memory.map_file import load_map, save_map
from wm_controller.memory.place_map import PlaceMap
from wm_controller.memory.steady_odometry import SteadyOdometry
from wm_controller.memory.trail import AlongTrail
from wm_controller.memory.ways import Reach
from wm_controller.planning.estimator import Estimate
from wm_controller.safety.geometry import compose, relative
from wm_controller.world_model.bundle import Bundle
from wm_controller.world_model.compass import heading_of
from wm_controller.world_model.goal_pose import GoalPoseHead
from wm_controller.world_model.pixels import in_light_of

Floats = NDArray[np.float64]

END = 0.6  # m before it, from where the end of a route is all that is left
WALLS_SURE = 0.08  # rad: by more in doubt, walls do not turn a map
WALLS_KNOWN = 0.03  # rad: no better than that, walls hold the heading


@dataclass(frozen=True)
class WayfinderConfig:
    """Lengths in m, times in s."""

    about: float = 14.0  # from the robot, within which ways are told
    ahead: float = 6.0  # along the route, of a goal too far away for the memory of space
    along: float = 2.5  # a taught route, where to head for
    held_up: float = 0.45  # ahead of the robot, what holds it up stands
    held_up_within: float = 0.3
    anew_s: float = 2.0  # after which a route is computed anew
    candidates: int = 8  # places that a goal picture is compared with
    sure: float = 0.5  # of where a goal picture was taken, to drive there
    quality: int = 90  # of remembered pictures, as JPEG
    use_compass: bool = True


class Wayfinder:
    """A map of places, kept with every frame, and routes over it.

    The map lies in odometry whose heading is held by the walls, where the model has a compass.
    Places are recognised by the model's latents, and it is checked with the head that compares
    goal pictures where the robot stands to them. Without that head nothing is recognised, and
    what drift is left stays.
    """

    def __init__(self, bundle: Bundle, config: WayfinderConfig | None = None) -> None:
        self.config = config or WayfinderConfig()
        self._head: GoalPoseHead | None = bundle.model.goal_pose
        self._compass = bundle.model.compass if self.config.use_compass else None
        self.odometry = SteadyOdometry()
        self.map = PlaceMap(bundle.spec.architecture.latent)
        self._piece: PlaceMap | None = None  # learned while it is not known where on the map
        self._pinned: Floats | None = None  # on the current map
        self._digest = _digest(bundle.model.encoder)
        self._reach: Reach | None = None
        self._reach_of: tuple[float, float] | None = None
        self._reach_at = -math.inf
        self._along, self._backwards = AlongTrail(), False
        self.route: list[int] = []  # places that lie ahead, for people to see

    @property
    def uses_compass(self) -> bool:
        """Whether walls hold the heading of odometry."""
        return self._compass is not None

    def save(self, path: Path) -> int:
        """Write the map to a file, whole or not at all; how many places. Raises InputError.

        What was driven until it is written first is the route that `repeat` drives along.
        """
        self.map.end_trail()
        save_map(path, self.map, self._digest)
        return len(self.map.places)

    def load(self, path: Path) -> int:
        """Go on with the map of a file; how many places. Raises InputError and changes nothing."""
        self._begin_with(load_map(path, self._digest))
        return len(self.map.places)

    def forget(self) -> int:
        """Forget every place; how many there were."""
        count = len(self.map.places)
        self._begin_with(PlaceMap(self.map.places.width))
        return count

    def _begin_with(self, place_map: PlaceMap) -> None:
        pinned = self.pinned
        self.map, self._piece = place_map, None
        self.pin(pinned)
        self._forget_route()

    def restart(self) -> None:
        """Keep the map when time or odometry begin anew: where the robot is must be found out."""
        self.map.restart()
        self.odometry.restart()
        self._piece = self._pinned = None
        self._forget_route()

    @property
    def current(self) -> PlaceMap:
        """The map that the robot knows its place on."""
        return self.map if self.map.located or self._piece is None else self._piece

    def on_map(self, pose: ArrayLike) -> Floats:
        """Poses (..., 3) in odom, on the current map."""
        return self.current.on_map(compose(self.odometry.frame, pose))

    def in_odom(self, pose: ArrayLike) -> Floats:
        """Poses (..., 3) on the current map, in odom as it is now."""
        return compose(relative(self.odometry.frame, np.zeros(3)), self.current.in_odom(pose))

    def pin(self, pose: ArrayLike | None) -> None:
        """Hold a pose (3,) in odom where it is, when odometry drifts and is corrected."""
        self._pinned = None if pose is None else self.on_map(pose)

    @property
    def pinned(self) -> Floats | None:
        """Where in odom (3,) the pinned pose is now."""
        return None if self._pinned is None else self.in_odom(self._pinned)

    def _forget_route(self) -> None:
        self._reach, self._reach_of, self._reach_at = None, None, -math.inf
        self.route = []

    def observe(self, estimate: Estimate) -> None:
        """Take in a frame."""
        if estimate.jumped:
            self.map.jumped()
            self.odometry.restart()
            self._piece = self._pinned = None
        self.odometry.follow(estimate.pose)
        if self._compass is not None:
            with torch.no_grad():
                heading, sigma = heading_of(self._compass(estimate.features))
            self.odometry.sight(float(heading[0]), float(sigma[0]))
        if not self.map.located and self._piece is None:
            pinned = self.pinned
            self._piece = PlaceMap(self.map.places.width, self.map.parameters)
            self.pin(pinned)
        self._learn(self.map, estimate)
        if self._piece is not None and self.map.located:
            there = self.map.absorb(self._piece)
            if self._pinned is not None:
                self._pinned = compose(there, self._pinned)
            self._piece = None
            self._forget_route()
        elif self._piece is not None:
            self._learn(self._piece, estimate)

    def _learn(self, place_map: PlaceMap, estimate: Estimate) -> None:
        def compare(pictures: Sequence[bytes]) -> tuple[Floats, Floats]:
            return self._compare(estimate.pixels, pictures)
        place_map.update(
            estimate.stamp, self.odometry.pose, estimate.trace.latent[0].double().numpy(),
            lambda: self._compressed(estimate.pixels),
            compare if self._head is not None else None,
            math.inf if self.odometry.walls is None else max(self.odometry.sigma, WALLS_KNOWN),
            self.odometry.walls if self.odometry.walls_sigma < WALLS_SURE else None)

    def _compressed(self, pixels: Tensor) -> bytes:
        image = pixels[0].numpy()[..., ::-1]
        return bytes(cv2.imencode('.jpg', image, [
            cv2.IMWRITE_JPEG_QUALITY, self.config.quality])[1])

    @torch.no_grad()
    def _compare(self, pixels: Tensor, pictures: Sequence[bytes]) -> tuple[Floats, Floats]:
        """Poses (K, 3) of remembered pictures as seen from here; how far each may be off, (K,) m.

        By as much as the head says of the less sure of both views, and by what there and back do
        not lead to the same place; a radian counts as a metre.
        """
        height, width = pixels.shape[1:3]
        there = torch.from_numpy(np.stack([_restored(each, height, width) for each in pictures]))
        there = in_light_of(pixels, there)
        here = pixels.expand(len(there), -1, -1, -1)
        seen, scale = self._told(here, there)
        back, back_scale = self._told(there, here)
        # Walls that look alike are told apart so: what is no place seen twice has no way back.
        off = compose(seen, back)
        apart = np.hypot(off[:, 0], off[:, 1]) + np.abs(off[:, 2])
        return seen, np.maximum(scale, back_scale) + apart

    def _told(self, here: Tensor, there: Tensor) -> tuple[Floats, Floats]:
        assert self._head is not None
        x, y, cos, sin, log_scale = self._head(here, there).double().unbind(-1)
        poses = torch.stack([x, y, torch.atan2(sin, cos)], -1)
        return poses.numpy(), log_scale.clamp(-4, 3).exp().numpy()

    def find(self, latent: Tensor, pixels: Tensor) -> Floats | None:
        """Return where (3,) on the map a picture was taken, if some place looks like it."""
        if self._head is None or not len(self.map.places) or not self.map.located:
            return None
        numbers, _ = self.map.places.alike(latent[0].double().numpy(), self.config.candidates)
        seen, scale = self._compare(pixels, [self.map.places.pictures[n] for n in numbers])
        best = int(np.argmin(scale))
        if scale[best] > self.config.sure:
            return None
        # What was compared says how the place lies as seen from the picture.
        back = relative(seen[best], np.zeros(3))
        return compose(self.map.places.poses[numbers[best]], back)

    def ways_about(self, pose: ArrayLike, now: float) -> Floats:
        """Stretches (K, 2, 2) in odom about a pose (3,) that were driven, and are not blocked."""
        ways, at = self.current.ways, self.in_odom(self.current.places.poses)[:, :2]
        if not len(ways):
            return np.zeros((0, 2, 2))
        usable = ways.open(now) & ~ways.sighted
        stretches = at[ways.ends[usable]]
        away = np.hypot(*(stretches.mean(1) - np.asarray(pose, float)[:2]).T)
        return np.asarray(stretches[away < self.config.about])

    def next_place(self, goal: Floats, now: float) -> Floats | None:
        """Return where (2,) in odom to head for on the way to a far goal (2,) in odom.

        None where no place leads on towards it.
        """
        self.route = []
        here = self.current.here
        if here is None:
            return None
        reach = self._reach_to(goal, now)
        if reach is None or not np.isfinite(reach.time_s[here]):
            return None
        route = reach.route(here)
        self.route = route
        places = self.current.places.poses[route, :2]
        along = np.concatenate([[0.0], np.hypot(*np.diff(places, axis=0).T).cumsum()])
        ahead = min(int(np.searchsorted(along, self.config.ahead)), len(route) - 1)
        if ahead == 0:
            return None
        return self.in_odom(np.array([*places[ahead], 0.0]))[:2]

    def route_taught(self) -> tuple[int, float]:
        """How many places, and m, the taught route has. Raises InputError where there is none."""
        if not self.map.route:
            raise InputError('no route was taught: forget the places, drive the route by hand '
                             'from its start to its end, then remember it')
        line = self.map.places.poses[self.map.route, :2]
        return len(line), float(np.hypot(*np.diff(line, axis=0).T).sum())

    def repeat(self, backwards: bool = False) -> None:
        """Begin to follow the taught route from wherever the robot is on it.

        Raises InputError where there is none.
        """
        self.route_taught()
        self._along, self._backwards = AlongTrail(), backwards

    def along_route(self, pose: ArrayLike) -> tuple[Floats, Floats, bool] | None:
        """Where the taught route leads from a pose (3,) in odom, and where it ends.

        The point (2,) in odom to head for, the last one, and whether only that is left. None
        while it is not known where on the map the robot is.
        """
        trail = self.map.route[::-1] if self._backwards else self.map.route
        if not (self.map.located and trail):
            return None
        line = self.map.places.poses[trail, :2]
        ahead, left, first = self._along.follow(line, self.on_map(pose)[:2], self.config.along)
        self.route = trail[first:]
        ahead, end = self.in_odom(np.pad([ahead, line[-1]], ((0, 0), (0, 1))))[:, :2]
        return ahead, end, left < END

    def _reach_to(self, goal: Floats, now: float) -> Reach | None:
        on_map = self.on_map(np.array([*goal, 0.0]))[:2]
        asked = (round(float(on_map[0]), 1), round(float(on_map[1]), 1))
        count = 0 if self._reach is None else len(self._reach.time_s)
        if asked != self._reach_of or now - self._reach_at > self.config.anew_s or (
                count != len(self.current.places)):
            self._reach = self.current.reach(on_map, now)
            self._reach_of, self._reach_at = asked, now
        return self._reach

    def held_up(self, pose: Floats, now: float) -> None:
        """Note that ways which lead on from a pose (3,) in odom cannot be driven."""
        ahead = pose[:2] + self.config.held_up * np.array([np.cos(pose[2]), np.sin(pose[2])])
        ways, at = self.current.ways, self.in_odom(self.current.places.poses)[:, :2]
        if not len(ways):
            return
        start, end = at[ways.ends[:, 0]], at[ways.ends[:, 1]]
        along = end - start
        share = ((ahead - start) * along).sum(-1) / np.maximum((along ** 2).sum(-1), 1e-9)
        nearest = start + np.clip(share, 0.0, 1.0)[:, None] * along
        for way in np.flatnonzero(np.hypot(*(nearest - ahead).T) < self.config.held_up_within):
            ways.failed(int(way), now)
        self._reach_at = -math.inf


def _digest(encoder: nn.Module) -> str:
    """Of the weights that say what places look like: a map is of use to no others."""
    found = hashlib.sha256()
    for name, value in sorted(encoder.state_dict().items()):
        found.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return found.hexdigest()


def _restored(picture: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """A remembered picture (H, W, 3) RGB; black where it is none of that size."""
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR) if picture else None
    if image is None or image.shape[:2] != (height, width):
        return np.zeros((height, width, 3), np.uint8)
    return np.asarray(image[..., ::-1], np.uint8)
