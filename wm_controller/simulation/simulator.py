# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The simulated robot in its room: commands in; images, laser, odometry, truth and bumps out.

Everything follows from (room, specs, seed): the same calls give the same numbers. Time is
simulated time. Images must be drawn in the thread that drew the first one.
"""

import os
from typing import Any

import cv2
import numpy as np

from wm_controller.errors import InputError
from wm_controller.safety.geometry import compose, relative
from wm_controller.simulation.base import Motors, Odometer, Wheels
from wm_controller.simulation.crowd import Crowd
from wm_controller.simulation.gl import make_renderer, mujoco
from wm_controller.simulation.mjcf import room_xml, TIMESTEP, vertical_fov
from wm_controller.simulation.rooms import Room
from wm_controller.simulation.specs import CameraSpec, Odometry, RobotSpec, Scan

LASER_HEIGHT = 0.2  # m
LASER_BEAMS = 360
LASER_RANGE = 8.0  # m
LASER_NOISE = 0.01  # m
LASER_DROPOUT = 0.002  # share of beams that come back empty
CLEARANCE_MAX = 5.0  # m
BUMP_FREE_S = 0.5  # a touch this long after the last one is a new bump
CROWD_TICKS = 4  # physics steps between steps of the people
FINE_RAY = np.deg2rad(0.6)  # spacing of the rays within a sector of clearance

__all__ = ['CameraSpec', 'Odometry', 'RobotSpec', 'Scan', 'Simulator']


class Simulator:
    """A robot in a room. Poses are (x m, y m, yaw rad), twists v m/s and w rad/s."""

    def __init__(self, room: Room, camera: CameraSpec | None = None,
                 robot: RobotSpec | None = None, seed: int = 0):
        self.room = room
        self.camera = camera or CameraSpec()
        self.robot = robot or RobotSpec()
        xml, assets = room_xml(room, self.camera, self.robot)
        self._model = mujoco.MjModel.from_xml_string(xml, assets)
        self._data = mujoco.MjData(self._model)
        self._camera_id = self._model.camera('camera').id
        self._mocap = [
            int(self._model.body(f'person{i}').mocapid[0]) for i in range(len(room.people))
        ]
        self._at_laser = room.footprints_at(LASER_HEIGHT)
        self._renderer: mujoco.Renderer | None = None
        self._rng = np.random.default_rng(seed)
        self.reset()

    def reset(self, pose: np.ndarray | None = None, camera: CameraSpec | None = None,
              robot: RobotSpec | None = None, seed: int | None = None) -> None:
        """
        Begin anew at time 0, at a pose or at a free one drawn at random.

        A camera or robot of the same size may be given in place of the present one. Without a
        seed the random stream goes on, so that runs differ but follow from the first seed.
        """
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        if robot is not None:
            if robot.radius != self.robot.radius:
                raise InputError('the robot keeps its radius: make another Simulator')
            self.robot = robot
        if camera is not None:
            self._set_camera(camera)
        if pose is None:
            pose = self.room.sample_free_pose(self._rng, self.robot.radius + 0.12)
        pose = np.asarray(pose, float)
        if pose.shape != (3,) or not np.isfinite(pose).all():
            raise InputError(f'start pose {pose} must be three finite numbers x, y, yaw')
        if not self.room.free(pose[None, :2], self.robot.radius)[0]:
            raise InputError(f'start pose {pose.round(2).tolist()} is inside an obstacle')
        streams = self._rng.spawn(5)
        mujoco.mj_resetData(self._model, self._data)
        self._data.qpos[:3] = pose
        self._origin = pose.copy()
        self._ticks = 0
        self._due = 0.0
        self._motors = Motors(self.robot)
        self._wheels = Wheels(self.robot, streams[0])
        self._odometer = Odometer(self.robot, streams[1], 0.0)
        self._crowd = Crowd(self.room.people, streams[2], pose[:2])
        self._laser_rng, self._image_rng = streams[3], streams[4]
        self._grain: np.ndarray | None = None
        self.collisions = 0
        self.in_contact = False
        self._last_touch = -np.inf
        self._place_people()
        mujoco.mj_forward(self._model, self._data)

    def _set_camera(self, camera: CameraSpec) -> None:
        if (camera.width, camera.height) != (self.camera.width, self.camera.height):
            raise InputError('the camera keeps its image size: make another Simulator')
        self.camera = camera
        i = self._camera_id
        self._model.cam_pos[i] = (camera.x, 0.0, camera.z)
        fovy = vertical_fov(camera.hfov, camera.width, camera.height)
        self._model.cam_fovy[i] = np.degrees(fovy)
        c, s = np.cos(camera.pitch), np.sin(camera.pitch)
        axes = np.array([[0.0, s, -c], [-1.0, 0.0, 0.0], [0.0, c, s]])  # columns: right, up, back
        mujoco.mju_mat2Quat(self._model.cam_quat[i], axes.ravel())

    def command(self, v: float, w: float) -> None:
        """Command a twist from now on; it acts after the robot's delay."""
        if not (np.isfinite(v) and np.isfinite(w)):
            raise InputError(f'command v {v}, w {w} must be finite')
        self._motors.command(self.time, float(v), float(w))

    def set_grip(self, left: float, right: float) -> None:
        """Let this share (0..1) of a wheel's turning move the body; odometry counts all of it."""
        if not (0.0 <= left <= 1.0 and 0.0 <= right <= 1.0):
            raise InputError(f'grip of the wheels {left}, {right}: use 0 to 1')
        self._wheels.grip = (float(left), float(right))

    def step(self, duration_s: float) -> None:
        """Let time pass; what is less than a physics step (5 ms) is kept for the next call."""
        if not 0.0 <= duration_s < 1e6:
            raise InputError(f'step duration {duration_s} s must be positive and finite')
        self._due += duration_s
        while (self._ticks + 1) * TIMESTEP <= self._due + 1e-9:
            self._tick()

    def _tick(self) -> None:
        data = self._data
        self._motors.step(self.time, TIMESTEP)
        v, w = self._wheels.step(self._motors.v, self._motors.w, TIMESTEP)
        yaw = data.qpos[2]
        cos, sin = np.cos(yaw), np.sin(yaw)
        data.ctrl[:] = (v * cos, v * sin, w)
        mujoco.mj_step(self._model, data)
        self._ticks += 1
        vx, vy, turning = data.qvel[:3]
        lost_v, lost_w = self._wheels.lost
        self._odometer.step(self.time, float(vx * cos + vy * sin) + lost_v,
                            float(turning) + lost_w, TIMESTEP)
        self.in_contact = data.ncon > 0  # the robot is the only body that moves among obstacles
        if self.in_contact:
            if self.time - self._last_touch > BUMP_FREE_S:
                self.collisions += 1
            self._last_touch = self.time
        if self._mocap and self._ticks % CROWD_TICKS == 0:
            self._crowd.step(CROWD_TICKS * TIMESTEP, data.qpos[:2], self.robot.radius)
            self._place_people()

    def _place_people(self) -> None:
        for mocap, walker in zip(self._mocap, self._crowd.walkers):
            self._data.mocap_pos[mocap, :2] = walker.xy
            half = walker.yaw / 2
            self._data.mocap_quat[mocap] = (np.cos(half), 0.0, 0.0, np.sin(half))

    @property
    def time(self) -> float:
        """Simulated time since the reset, s."""
        return self._ticks * TIMESTEP

    @property
    def pose(self) -> np.ndarray:
        """True pose in the world."""
        pose = self._data.qpos[:3].copy()
        pose[2] = (pose[2] + np.pi) % (2 * np.pi) - np.pi
        return pose

    @property
    def twist(self) -> np.ndarray:
        """True forward speed, m/s, and turning speed, rad/s."""
        vx, vy, w = self._data.qvel[:3]
        yaw = self._data.qpos[2]
        return np.array([vx * np.cos(yaw) + vy * np.sin(yaw), w])

    @property
    def velocity(self) -> np.ndarray:
        """True velocity (2,) of the middle, m/s, in the world."""
        return self._data.qvel[:2].copy()

    @property
    def odometry(self) -> Odometry:
        """The latest odometry, at most 20 ms old, drifting, in the frame of the start."""
        return self._odometer.latest

    def odom_to_world(self, pose: np.ndarray) -> np.ndarray:
        """Pose (..., 3) in the frame of the start -> world, by the true start: no drift."""
        return compose(self._origin, pose)

    def world_to_odom(self, pose: np.ndarray) -> np.ndarray:
        """Pose (..., 3) in the world -> frame of the start, by the true start: no drift."""
        return relative(self._origin, pose)

    @property
    def people(self) -> np.ndarray:
        """Where people are: (P, 3) x, y and radius, m."""
        feet = self._crowd.footprints()
        return np.hstack([feet.centre, feet.half[:, :1]])

    def scan(self) -> Scan:
        """One turn of the laser now: 360 beams from -pi, 0.2 m above the floor."""
        increment = 2 * np.pi / LASER_BEAMS
        angles = -np.pi + increment * np.arange(LASER_BEAMS)
        ranges = self._rays(self._at_laser, angles, LASER_RANGE)
        empty = (ranges >= LASER_RANGE) | (self._laser_rng.random(LASER_BEAMS) < LASER_DROPOUT)
        ranges = np.maximum(ranges + self._laser_rng.normal(0.0, LASER_NOISE, LASER_BEAMS), 0.0)
        ranges[empty] = np.inf
        return Scan(self.time, -np.pi, increment, LASER_RANGE, ranges)

    def clearance(self, bearings: np.ndarray) -> np.ndarray:
        """
        True distance (K,) m to what would block the robot, people included, at most 5 m.

        Each is the least in the sector round its bearing (rad, left positive), as wide as the
        bearings are apart.
        """
        bearings = np.asarray(bearings, float)
        width = abs(bearings[1] - bearings[0]) if len(bearings) > 1 else np.deg2rad(6.0)
        count = max(1, int(np.ceil(width / FINE_RAY)))
        offsets = ((np.arange(count) + 0.5) / count - 0.5) * width
        angles = (bearings[:, None] + offsets).ravel()
        ranges = self._rays(self.room.blocking, angles, CLEARANCE_MAX)
        return ranges.reshape(len(bearings), count).min(axis=1)

    def _rays(self, footprints, angles: np.ndarray, max_range: float) -> np.ndarray:
        origin, world = self._data.qpos[:2], angles + self._data.qpos[2]
        ranges = footprints.rays(origin, world, max_range)
        if self._mocap:
            ranges = np.minimum(ranges, self._crowd.footprints().rays(origin, world, max_range))
        return ranges

    def image(self, pose: np.ndarray | None = None) -> np.ndarray:
        """Draw what the camera sees now, or would see from a pose: (H, W, 3) uint8 RGB."""
        if pose is not None:
            here = self._data.qpos[:3].copy()
            self._data.qpos[:3] = pose
            try:
                return self.image()
            finally:
                self._data.qpos[:3] = here
        if self._renderer is None:
            size = self.camera.width, self.camera.height
            self._renderer = make_renderer(self._model, *size)
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        self._renderer.update_scene(self._data, camera=self._camera_id)
        return self._developed(self._renderer.render())

    def _developed(self, image: np.ndarray) -> np.ndarray:
        """Apply exposure and sensor noise."""
        if self.camera.exposure != 1.0:
            levels = np.clip(np.arange(256) * self.camera.exposure, 0, 255).astype(np.uint8)
            image = cv2.LUT(image, levels)
        if self.camera.noise <= 0.0:
            return image
        if self._grain is None:  # noise drawn once, shown from a random row on: quick enough
            rows = self.camera.height * 2
            shape = (rows, self.camera.width, 3)
            self._grain = self._image_rng.normal(0.0, self.camera.noise, shape).astype(np.int16)
        first = int(self._image_rng.integers(self.camera.height))
        noisy = cv2.add(image, self._grain[first:first + self.camera.height], dtype=cv2.CV_16S)
        return np.clip(noisy, 0, 255).astype(np.uint8)

    def open_window(self) -> Any:
        """Open MuJoCo's window on the room; call `sync()` on it after steps."""
        if not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
            raise InputError('there is no screen to open a window on: set headless to true')
        from mujoco import viewer
        return viewer.launch_passive(self._model, self._data)

    def close(self) -> None:
        """Free the renderer; the simulator can still be used."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
