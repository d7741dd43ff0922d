# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The records of a drive: the task that was set, what happened, and the trace to draw it from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from wm_controller.evaluation.detail import Detail
    from wm_controller.evaluation.drive_log import Recording


@dataclass(frozen=True)
class Task:
    """One drive to attempt. Poses are (x, y, yaw) in the world frame, in m and rad."""

    index: int
    room_seed: int
    family: str
    start: tuple[float, float, float]
    goal: tuple[float, float, float]
    goal_kind: str  # 'pose', 'image', 'route' or 'explore'
    shortest_m: float  # length of the shortest path on the true map
    hidden: bool  # not in line of sight from the start, or a detour of more than a tenth
    timeout_s: float
    seed: int  # of everything random within the episode
    people: int | None = None  # moving people; None: as many as the room has by itself
    day: int = 0  # on which the room is driven in, see `simulation.another_day`

    @property
    def room_key(self) -> tuple[str, int, int]:
        """Which room it is driven in: family, seed and day."""
        return self.family, self.room_seed, self.day

    @property
    def straight_m(self) -> float:
        """Distance in m as the crow flies."""
        return float(np.hypot(self.goal[0] - self.start[0], self.goal[1] - self.start[1]))


@dataclass(frozen=True)
class PlanTrace:
    """A plan at time t (s): the path imagined (T,2) and some of the candidates (F,T,2), world."""

    t: float
    path: np.ndarray
    fan: np.ndarray | None = None


@dataclass(frozen=True)
class Moment:
    """What was considered, chosen and remembered at time t (s); points are in the world, m.

    `plan` has the imagined path, empty where no candidate kept every constraint, and candidates.
    `ways` (W,2) and `route` (R,) are numbers of `places` (N,2), `blocked` (W,) which ways could
    not be driven. `space` is a PNG of cells `cell_m` wide (0 unknown, 1 free, 2 occupied; the
    first row is the lowest) whose lower left corner is the origin of `space_pose` (3,).
    """

    t: float
    plan: PlanTrace
    far_path: np.ndarray  # (M,2) of the upper level
    target: np.ndarray  # (0 or 1,2): the goal as it is believed, a place before it, or a frontier
    places: np.ndarray
    ways: np.ndarray
    blocked: np.ndarray
    route: np.ndarray
    frontiers: np.ndarray  # (F,2)
    space: bytes = b''
    space_pose: np.ndarray = field(default_factory=lambda: np.zeros(3))
    cell_m: float = 0.1


@dataclass(frozen=True)
class Trace:
    """What happened in a drive, sampled at 10 Hz; times in s since the start of the drive."""

    t: np.ndarray  # (N,)
    pose: np.ndarray  # (N,3) true, world
    wanted: np.ndarray  # (N,2) v m/s, w rad/s as the policy commanded
    admitted: np.ndarray  # (N,2) as the guard let through
    limit: np.ndarray  # (N,) 0..1, share of the wanted speed the guard admitted
    reasons: tuple[tuple[str, ...], ...]  # (N) guardrails that limited
    plans: tuple[PlanTrace, ...] = ()
    frames: tuple[tuple[float, bytes], ...] = ()  # (t, JPEG)
    bumps: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))  # (B,3) t, x, y
    goal_frame: bytes | None = None  # JPEG of the goal image
    moments: tuple[Moment, ...] = ()
    people: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 3)))  # (N,P,3) x, y, radius
    detail: Detail | None = None  # where it was asked for


@dataclass(frozen=True)
class Episode:
    """The outcome of one drive."""

    task: Task
    planner: str
    success: bool  # within the tolerance at the end and not a single bump
    reached: bool  # within the tolerance at the end
    claimed: bool  # the policy itself said that it had arrived
    timed_out: bool
    collisions: int
    final_distance_m: float  # true distance to the goal at the end
    distance_m: float  # driven
    duration_s: float  # simulated
    spl: float
    commands: int  # that took effect
    plans: int
    deadline_misses: int
    interventions: int  # times the guard held a robot that was told to move
    guard_share: Mapping[str, float]  # share of the time each guardrail was limiting
    latencies_s: tuple[float, ...]  # camera stamp to the command that used it
    plan_s: tuple[float, ...]  # processor time of each observe and plan
    cpu_s: float  # processor time of the whole episode, simulation included
    end_state: str  # the last state that the policy reported
    trace: Trace | None = None
    recording: Recording | None = None  # of its steps, where they were asked for
    off_route_m: float | None = None  # furthest from the route that was taught, if one was

    @property
    def outcome(self) -> str:
        """One or two words for people."""
        if self.success:
            return 'arrived'
        if self.collisions:
            return 'bumped, arrived' if self.reached else 'bumped'
        if self.timed_out:
            return 'out of time'
        return 'wrong place' if self.claimed else 'gave up'
