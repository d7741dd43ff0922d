# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Drives with events planted at known times.

The robot drives as it does when data are collected. Every few seconds comes a moment: some moments
have a wheel slip there and then; at each other one the drive branches, once for each other event.
A branch has the frames that the camera would have given with the event.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from wm_controller.evaluation.planted_events import CAMERA_EVENTS, HARMLESS_CHANGES, Image
from wm_controller.safety.geometry import compose, relative
from wm_controller.simulation.collecting import vary_camera, vary_robot
from wm_controller.simulation.driving import Driver
from wm_controller.simulation.furniture import draw_piece
from wm_controller.simulation.rooms import make_room, Room
from wm_controller.simulation.simulator import CameraSpec, RobotSpec, Simulator

Floats = NDArray[np.float64]
FIRST_S, APART_S = 3.0, 2.5  # when the first moment comes, and the time between two
WATCHED_S = 1.0  # how long an event lasts and is watched
REMEMBERED_S = 2.5  # of frames before the event, where a branch has a past of its own
BRANCHED = 0.5  # chance of an event to be planted at a moment: more rooms, fewer branches
SLIP_EVERY = 3  # moments
SLIP_GRIP = (0.1, 0.5)  # of the wheel that slips
MOVED_M, MOVED_RAD = 0.05, 0.1  # in half a second, at least one of them, to count as moving
OBJECT_M, OBJECT_RAD = (0.7, 2.5), 0.5  # where objects come and go, seen from the robot
OBJECT_GAP_M = 0.35  # from the robot's way to their middle, beside their own reach
OBJECT_SHARE = 0.03  # of the frame that must change with the object
PIXEL_CHANGE = 15  # 8-bit levels that are a change
PERSON_M = 4.0


@dataclass(frozen=True)
class Frame:
    """A camera frame, odometry at its stamp (None without) and the command from then on."""

    stamp: float
    image: Image
    pose: Floats | None
    twist: Floats | None
    command: tuple[float, float]


@dataclass(frozen=True)
class Branch:
    """An event from frame `start` of a drive on, and the `frames` then.

    `in_drive`: they are the drive's own. `past` replaces those before them where it is not None.
    """

    event: str
    start: int
    frames: list[Frame]
    past: list[Frame] | None = None
    in_drive: bool = False


@dataclass(frozen=True)
class DriveSpec:
    """One drive; all of it follows from these numbers."""

    room_seed: int
    family: str = 'evaluation'
    seconds: float = 40.0
    camera_period_s: float = 0.1
    command_period_s: float = 0.2
    image_size: tuple[int, int] = (96, 72)  # width, height
    odometry: bool = True
    people: int = 0


@dataclass
class Drive:
    """The frames of a drive and its moments: (start, what is in the drive itself there or '').

    `true` and `odometry` are the poses (N, 3) where the robot was, and was by its wheels.
    """

    spec: DriveSpec
    frames: list[Frame]
    true: Floats
    odometry: Floats
    moments: list[tuple[int, str]]
    simulator: Simulator
    room: Room

    def branches(self) -> Iterator[Branch]:
        """Branch at the moments at which the robot moves, into a share of the events at each."""
        spec = self.spec
        count = round(WATCHED_S / spec.camera_period_s)
        for start, event in self.moments:
            if not self.moving(start) or (event == 'slip' and not self._slipped(start)):
                continue
            ahead = self.frames[start:start + count]
            yield Branch(event or 'quiet', start, ahead, in_drive=True)
            if event:
                continue
            rng = np.random.default_rng([spec.room_seed, start])
            for name, make in {**CAMERA_EVENTS, **HARMLESS_CHANGES}.items():
                alter = make(rng, self.frames[start - 1].image)
                if rng.random() > BRANCHED:
                    continue
                yield Branch(name, start, [replace(frame, image=alter(
                    frame.stamp - ahead[0].stamp, frame.image)) for frame in ahead])
            if rng.random() < BRANCHED:
                yield from self._teleported(rng, start, count)
            if spec.people == 0:
                yield from self._with_object(rng, start, count)

    def moving(self, start: int) -> bool:
        """Whether the wheels turned in the half second from a frame on."""
        return _is_motion(self._in_half_a_second(self.odometry, start))

    def _slipped(self, start: int) -> bool:
        """Whether a slip lost as much way as counts as moving: else nothing has happened."""
        return _is_motion(relative(self._in_half_a_second(self.true, start),
                                   self._in_half_a_second(self.odometry, start)))

    def _in_half_a_second(self, path: Floats, start: int) -> Floats:
        steps = round(0.5 / self.spec.camera_period_s)
        return relative(path[start], path[start + steps])

    def _render(self, simulator: Simulator, poses: Floats) -> list[Image]:
        return [_shrunk(simulator.image(pose), self.spec.image_size) for pose in poses]

    def _teleported(self, rng: np.random.Generator, start: int, count: int) -> Iterator[Branch]:
        """The rest of the way driven elsewhere in the room, where it is free."""
        way = relative(self.true[start], self.true[start:start + count])
        radius = self.simulator.robot.radius
        for _ in range(30):
            there = compose(self.room.sample_free_pose(rng, radius + 0.1), way)
            far = math.hypot(*(there[0] - self.true[start])[:2]) > 1.0
            if far and self.room.free(there[:, :2], radius).all():
                images = self._render(self.simulator, there)
                yield Branch('teleport', start, _with_images(
                    self.frames[start:start + count], images))
                return

    def _with_object(self, rng: np.random.Generator, start: int, count: int) -> Iterator[Branch]:
        first = max(0, start - round(REMEMBERED_S / self.spec.camera_period_s))
        way = self.true[first:start + count]
        room = _furnished(rng, self.room, self.true[start], way)
        if room is None:
            return
        simulator = Simulator(room, self.simulator.camera, self.simulator.robot,
                              seed=self.spec.room_seed)
        try:
            images = self._render(simulator, way)
        finally:
            simulator.close()
        here = self.frames[start].image.astype(int)
        changed = np.abs(here - images[start - first]).max(-1) > PIXEL_CHANGE
        grain = np.abs(here - self._render(self.simulator, self.true[start:start + 1])[0]).max(-1)
        if changed.mean() - (grain > PIXEL_CHANGE).mean() < OBJECT_SHARE:
            return
        ahead = self.frames[start:start + count]
        yield Branch('appear', start, _with_images(ahead, images[start - first:]))
        yield Branch('vanish', start, ahead,
                     _with_images(self.frames[first:start], images[:start - first]))

    def close(self) -> None:
        """Free the renderer."""
        self.simulator.close()


def record_drive(spec: DriveSpec) -> Drive:
    """Drive and record; the simulator stays open for the branches until `close`."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([0x5EED, spec.room_seed])
    room = make_room(spec.room_seed, spec.family, spec.people)
    camera = vary_camera(rng, CameraSpec(*(2 * side for side in spec.image_size)))
    simulator = Simulator(room, camera, vary_robot(rng, RobotSpec()), seed=spec.room_seed)
    simulator.reset(pose=room.sample_free_pose(rng, 0.35))
    driver = Driver(simulator, rng, spec.command_period_s)
    every = round(spec.command_period_s / spec.camera_period_s)
    slips = _slips(rng, spec)
    frames, true, odometry, seen = [], [], [], []
    command = (0.0, 0.0)
    for i in range(round(spec.seconds / spec.camera_period_s)):
        if i % every == 0:
            command = driver.next()
            simulator.command(*command)
        simulator.set_grip(*slips.get(i, (1.0, 1.0)))
        measured = simulator.odometry
        image = _shrunk(simulator.image(), spec.image_size)
        known = spec.odometry
        frames.append(Frame(simulator.time, image, measured.pose if known else None,
                            measured.twist if known else None, command))
        true.append(simulator.pose)
        odometry.append(measured.pose)
        seen.append(_sees_person(simulator))
        simulator.step(spec.camera_period_s)
    return Drive(spec, frames, np.array(true), np.array(odometry), _moments(spec, slips, seen),
                 simulator, room)


def _is_motion(change: Floats) -> bool:
    return bool(math.hypot(*change[:2]) > MOVED_M or abs(change[2]) > MOVED_RAD)


def _starts(spec: DriveSpec) -> list[int]:
    times = np.arange(FIRST_S, spec.seconds - WATCHED_S - 0.6, APART_S)
    return [round(t / spec.camera_period_s) for t in times]


def _slips(rng: np.random.Generator, spec: DriveSpec) -> dict[int, tuple[float, float]]:
    """Grip of the wheels by frame, where one slips."""
    slips = {}
    for start in _starts(spec)[1::SLIP_EVERY]:
        grip = float(rng.uniform(*SLIP_GRIP))
        grips = (grip, 1.0) if rng.random() < 0.5 else (1.0, grip)
        for i in range(round(WATCHED_S / spec.camera_period_s)):
            slips[start + i] = grips
    return slips


def _moments(spec: DriveSpec, slips: dict[int, tuple[float, float]],
             seen: list[bool]) -> list[tuple[int, str]]:
    """Say of each moment what is in the drive itself: a slip, people in view, or nothing."""
    moments = []
    for start in _starts(spec):
        if start in slips:
            moments.append((start, 'slip'))
        else:
            moments.append((start, 'people' if seen[start] else ''))
    return moments


def _sees_person(simulator: Simulator) -> bool:
    x, y, yaw = simulator.pose
    for px, py, radius in simulator.people:
        distance, angle = math.hypot(px - x, py - y), math.atan2(py - y, px - x)
        off = abs(math.remainder(angle - yaw, 2 * math.pi))
        if distance < PERSON_M and off < simulator.camera.hfov / 2 and simulator.room.rays(
                np.array([x, y]), np.array([angle]), distance + radius)[0] > distance - radius:
            return True
    return False


def _furnished(rng: np.random.Generator, room: Room, pose: Floats, way: Floats) -> Room | None:
    """The room with one more piece of furniture in view of a pose, off the way (N, 3)."""
    materials = [i for i, m in enumerate(room.materials) if m.name in (
        'wood', 'fabric', 'plain', 'metal')]
    chosen = int(rng.choice(materials))
    for _ in range(60):
        piece = draw_piece(rng, room.family, lambda name: chosen)
        bearing, away = rng.uniform(-OBJECT_RAD, OBJECT_RAD), rng.uniform(*OBJECT_M)
        x, y, _ = compose(pose, np.array([away * math.cos(bearing), away * math.sin(bearing), 0.]))
        reach = math.hypot(piece.half_depth, piece.half_width)
        if np.hypot(way[:, 0] - x, way[:, 1] - y).min() < reach + OBJECT_GAP_M:
            continue
        if not room.free(np.array([[x, y]]), reach)[0]:
            continue
        yaw = float(rng.uniform(-math.pi, math.pi))
        return replace(room, furniture=(*room.furniture, *(
            solid.placed(float(x), float(y), yaw) for solid in piece.solids)))
    return None


def _with_images(frames: list[Frame], images: list[Image]) -> list[Frame]:
    return [replace(frame, image=image) for frame, image in zip(frames, images, strict=True)]


def _shrunk(image: Image, size: tuple[int, int]) -> Image:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
