# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Record episodes in a room: what the robot saw, was told, measured, and what was true."""

from dataclasses import dataclass, replace
import math

import cv2
import numpy as np

from wm_controller.safety.geometry import relative
from wm_controller.simulation.driving import Driver
from wm_controller.simulation.rooms import make_room
from wm_controller.simulation.simulator import CameraSpec, RobotSpec, Simulator

EPISODE_STEPS = (120, 250)
PEOPLE_SHARE = 1 / 3  # of the rooms have one to three people


@dataclass(frozen=True)
class Episode:
    """T steps; pixels (T, H, W, 3) uint8, the rest as in design.md section 5."""

    room_seed: int
    layout: str
    style: str
    pixels: np.ndarray
    action: np.ndarray
    proprio: np.ndarray
    pose: np.ndarray
    stamp: np.ndarray
    clearance: np.ndarray
    world_pose: np.ndarray
    contact: np.ndarray
    collisions: int

    @property
    def distance_m(self) -> float:
        """Way driven, m."""
        return float(np.hypot(*np.diff(self.world_pose[:, :2], axis=0).T).sum())


@dataclass(frozen=True)
class Collection:
    """What to record in one room: all of it follows from these and the room's seed."""

    room_seed: int
    family: str
    steps: int
    period_s: float
    image_size: tuple[int, int]  # width, height that is stored
    bearings: tuple[float, ...]  # rad


def collect_room(job: Collection) -> list[Episode]:
    """Drive `steps` steps in a room, in episodes of 120 to 250 steps."""
    cv2.setNumThreads(1)  # one process a core already
    rng = np.random.default_rng((0xC011EC7, job.room_seed))
    people = int(rng.integers(1, 4)) if rng.random() < PEOPLE_SHARE else 0
    room = make_room(job.room_seed, job.family, people)
    # Drawn larger and reduced by area, as a robot's images are; mostly at the cheaper size
    scale = float(rng.choice((2.0, 10 / 3), p=(0.75, 0.25)))
    camera = CameraSpec(*(round(scale * side) for side in job.image_size))
    simulator = Simulator(room, camera, seed=job.room_seed)
    episodes = []
    for steps in episode_lengths(rng, job.steps):
        simulator.reset(
            pose=room.sample_free_pose(rng, float(rng.uniform(0.2, 0.4))),
            camera=vary_camera(rng, camera), robot=vary_robot(rng, RobotSpec()),
        )
        episodes.append(record(simulator, rng, steps, job))
    simulator.close()
    return episodes


def episode_lengths(rng: np.random.Generator, steps: int) -> list[int]:
    """Cut a number of steps into episodes of 120 to 250 steps (one shorter, where it must be)."""
    low, high = EPISODE_STEPS
    lengths = []
    while steps > high:
        length = int(rng.integers(low, high + 1))
        if steps - length < low:
            length = steps // 2
        lengths.append(length)
        steps -= length
    return lengths + [steps]


def vary_camera(rng: np.random.Generator, camera: CameraSpec) -> CameraSpec:
    """Vary how the camera is mounted and exposed, as it varies from robot to robot."""
    return replace(
        camera,
        hfov=camera.hfov + math.radians(rng.uniform(-2.0, 2.0)),
        z=camera.z + float(rng.uniform(-0.03, 0.03)),
        pitch=camera.pitch + math.radians(rng.uniform(-3.0, 3.0)),
        exposure=float(np.exp(rng.normal(0.0, 0.2))),
        noise=float(rng.uniform(1.0, 5.0)),
    )


def vary_robot(rng: np.random.Generator, robot: RobotSpec) -> RobotSpec:
    """Vary how fast the base answers and how hard it brakes."""
    return replace(
        robot,
        command_delay_s=float(rng.uniform(0.04, 0.1)),
        motor_lag_s=float(rng.uniform(0.04, 0.14)),
        linear_deceleration=float(rng.uniform(1.5, 3.0)),
    )


def record(simulator: Simulator, rng: np.random.Generator, steps: int,
           job: Collection) -> Episode:
    """Record one episode: frame i, then the command that is held over the step after it."""
    driver = Driver(simulator, rng, job.period_s)
    width, height = job.image_size
    bearings = np.array(job.bearings)
    pixels = np.empty((steps, height, width, 3), np.uint8)
    action = np.empty((steps, 2), np.float32)
    proprio = np.zeros((steps, 5), np.float32)
    pose, world_pose = np.empty((steps, 3)), np.empty((steps, 3))
    stamp = np.empty(steps)
    clearance = np.empty((steps, len(bearings)), np.float32)
    contact = np.empty(steps, bool)
    for i in range(steps):
        cv2.resize(simulator.image(), (width, height), pixels[i], interpolation=cv2.INTER_AREA)
        odometry = simulator.odometry
        pose[i], world_pose[i], stamp[i] = odometry.pose, simulator.pose, simulator.time
        if i:
            proprio[i, :3] = relative(pose[i - 1], pose[i])
        proprio[i, 3:] = odometry.twist
        clearance[i] = simulator.clearance(bearings)
        contact[i] = simulator.in_contact
        action[i] = driver.next()
        simulator.command(*action[i].tolist())
        simulator.step(job.period_s)
    return Episode(
        job.room_seed, simulator.room.layout, driver.style, pixels, action, proprio, pose, stamp,
        clearance, world_pose, contact, simulator.collisions,
    )
