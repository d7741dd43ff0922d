# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Collect a drive as it happens, in the simulator's loop or over topics, into an Episode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from wm_controller.evaluation.detail import Detail
from wm_controller.evaluation.drive_log import DriveLog
from wm_controller.evaluation.encoded import jpeg, png
from wm_controller.evaluation.metrics import path_efficiency, path_length
from wm_controller.evaluation.records import Episode, Moment, PlanTrace, Task, Trace
from wm_controller.safety.guardrails import SMOOTHING

if TYPE_CHECKING:  # the recorder itself needs no planner
    from wm_controller.planning.contract import Plan
    from wm_controller.planning.outline import Outline

TOLERANCE_M = 0.4  # a goal counts as reached from here, by the true pose
TRACE_PERIOD_S = 0.1
FAN_PERIOD_S = 0.5  # candidates are many: keep some of them, now and then
FAN_SIZE = 24
Twist = tuple[float, float]  # v m/s, w rad/s
STILL = (0.02, 0.05)  # m/s and rad/s: less is standing


@dataclass(frozen=True)
class Keep:
    """What to keep of a drive for pictures; frame_period_s None keeps no camera frames."""

    trace: bool = True
    frame_period_s: float | None = 1.0
    frame_width: int = 160  # px
    steps: bool = False  # of the model, as rows of a data set
    moment_period_s: float | None = 2.0  # of what was considered and remembered; None: none
    detail: bool = False  # scans, imagined pictures and the like, for `rerun_log`

    @classmethod
    def film(cls) -> Keep:
        """Every frame, as the camera gave it."""
        return cls(frame_period_s=0.1, frame_width=320, moment_period_s=1.0)

    @classmethod
    def everything(cls) -> Keep:
        """All that a log to look through shows."""
        return cls(frame_period_s=0.1, frame_width=320, moment_period_s=0.5, detail=True)


class DriveRecorder:
    """Tallies one drive; times in s since its start, poses in the world."""

    def __init__(self, task: Task, keep: Keep | None = None) -> None:
        self.task = task
        self._keep = keep or Keep()
        self._samples: list[tuple[float, np.ndarray, Twist, Twist]] = []
        self._limits: list[float] = []
        self._reasons: list[tuple[str, ...]] = []
        self._people: list[np.ndarray] = []
        self._plans: list[PlanTrace] = []
        self._moments: list[Moment] = []
        self._frames: list[tuple[float, bytes]] = []
        self._bumps: list[tuple[float, float, float]] = []
        self._limiting_s: dict[str, float] = {}
        self._last_t: float | None = None
        self._held = False
        self._pose = np.asarray(task.start, dtype=np.float64)
        self._last_fan_t = -np.inf
        self.interventions = 0
        self.latencies_s: list[float] = []
        self.plan_s: list[float] = []
        self.commands = 0
        self.plans = 0
        self.deadline_misses = 0
        self.goal_frame: bytes | None = None
        self.route: np.ndarray | None = None  # (N, 3) in the world, that is repeated
        self.log = DriveLog() if self._keep.steps else None
        self.detail = Detail() if self._keep.detail else None

    def sample(
        self,
        t: float,
        pose: np.ndarray,
        wanted: Twist,
        admitted: Twist,
        limit: float,
        reasons: Sequence[str],
        people: np.ndarray | None = None,
    ) -> None:
        """Take in the state at t; at any rate, the trace keeps 10 Hz of it.

        `people` (P,3): x, y, radius of everybody, where that is known.
        """
        # Ramps shape every change of speed; they object to nothing and would hide what does.
        reasons = tuple(reason for reason in reasons if reason not in SMOOTHING)
        if self._last_t is not None:
            for reason in reasons:
                seconds = self._limiting_s.get(reason, 0.0)
                self._limiting_s[reason] = seconds + max(0.0, t - self._last_t)
        self._last_t = t
        self._pose = np.array(pose, dtype=np.float64)
        self._count_intervention(wanted, admitted, reasons)
        if not self._samples or t >= self._samples[-1][0] + TRACE_PERIOD_S - 1e-6:
            self._samples.append((t, self._pose, wanted, admitted))
            self._limits.append(limit)
            self._reasons.append(reasons)
            self._people.append(np.zeros((0, 3)) if people is None else people)

    def _count_intervention(self, wanted: Twist, admitted: Twist, reasons: Sequence[str]) -> None:
        told = abs(wanted[0]) > STILL[0] or abs(wanted[1]) > STILL[1]
        stands = abs(admitted[0]) <= STILL[0] and abs(admitted[1]) <= STILL[1]
        held = told and stands and bool(reasons)
        self.interventions += held and not self._held
        self._held = held

    def plan(self, t: float, path: np.ndarray, candidates: np.ndarray | None) -> None:
        """Keep an imagined path (T,>=2), and sometimes candidates (M,T,>=2), world frame."""
        if not self._keep.trace:
            return
        fan = None
        if candidates is not None and len(candidates) and t >= self._last_fan_t + FAN_PERIOD_S:
            fan = _some(candidates)
            self._last_fan_t = t
        self._plans.append(PlanTrace(t, np.asarray(path)[:, :2].astype(np.float32), fan))

    def wants_moment(self, t: float) -> bool:
        """Whether what is considered at t would be kept."""
        period = self._keep.moment_period_s
        if not self._keep.trace or period is None:
            return False
        return not self._moments or t >= self._moments[-1].t + period - 1e-6

    def moment(
        self,
        t: float,
        plan: Plan,
        known: Outline,
        to_world: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        """Keep what a plan considered and what was known; `to_world` takes poses (...,3)."""

        def points(found: np.ndarray | None) -> np.ndarray:
            if found is None:
                return np.zeros((0, 2), np.float32)
            flat = np.atleast_2d(found)
            poses = np.concatenate([flat[..., :2], np.zeros((*flat.shape[:-1], 1))], -1)
            return np.asarray(to_world(poses)[..., :2], np.float32)

        chosen = plan.path if len(plan.path) > 1 else None
        fan = None if plan.candidates is None else _some(points(plan.candidates))
        space, corner = known.space, np.zeros(3)
        if space is not None:
            corner = to_world(np.array([*space.corner, 0.0]))
        self._moments.append(Moment(
            t, PlanTrace(t, points(chosen), fan), points(plan.far_path), points(known.target),
            points(known.places), known.ways.astype(np.int16), known.blocked,
            known.route.astype(np.int16), points(known.frontiers),
            b'' if space is None else png((space.cells + 1).astype(np.uint8)), corner,
            0.1 if space is None else space.resolution))  # fmt: skip

    def wants_frame(self, t: float) -> bool:
        """Whether a camera frame at t would be kept."""
        period = self._keep.frame_period_s
        if not self._keep.trace or period is None:
            return False
        return not self._frames or t >= self._frames[-1][0] + period - 1e-6

    def frame(self, t: float, image: np.ndarray) -> None:
        """Keep a camera frame (H,W,3) RGB if it is due."""
        if self.wants_frame(t):
            self._frames.append((t, jpeg(image, self._keep.frame_width)))

    def bump(self, t: float) -> None:
        """Count a bump where the robot is."""
        self._bumps.append((t, float(self._pose[0]), float(self._pose[1])))

    def finish(
        self, t: float, *, planner: str, claimed: bool, end_state: str, cpu_s: float
    ) -> Episode:
        """Judge the drive as it stands at t."""
        task = self.task
        left = float(np.hypot(*(self._pose[:2] - np.array(task.goal[:2]))))
        reached = left <= TOLERANCE_M
        success = reached and not self._bumps
        poses = np.array([pose for _, pose, _, _ in self._samples]).reshape(-1, 3)
        driven = path_length(np.vstack([poses[:, :2], self._pose[None, :2]]))
        return Episode(
            task=task,
            planner=planner,
            success=success,
            reached=reached,
            claimed=claimed,
            timed_out=not claimed and t >= task.timeout_s - 1e-6,
            collisions=len(self._bumps),
            final_distance_m=left,
            distance_m=driven,
            duration_s=t,
            spl=path_efficiency(success, task.shortest_m, driven),
            commands=self.commands,
            plans=self.plans,
            deadline_misses=self.deadline_misses,
            interventions=self.interventions,
            guard_share={
                reason: seconds / t for reason, seconds in sorted(self._limiting_s.items())
            }
            if t > 0
            else {},
            latencies_s=tuple(self.latencies_s),
            plan_s=tuple(self.plan_s),
            cpu_s=cpu_s,
            off_route_m=self._off_route(poses),
            end_state=end_state,
            trace=self._trace(poses) if self._keep.trace else None,
            recording=self.log.finish() if self.log else None,
        )

    def _off_route(self, poses: np.ndarray) -> float | None:
        if self.route is None or not len(poses):
            return None
        away, _ = cKDTree(self.route[:, :2]).query(poses[:, :2])
        return float(away.max())

    def _trace(self, poses: np.ndarray) -> Trace:
        return Trace(
            t=np.array([t for t, _, _, _ in self._samples]),
            pose=poses,
            wanted=np.array([wanted for _, _, wanted, _ in self._samples]).reshape(-1, 2),
            admitted=np.array([admitted for _, _, _, admitted in self._samples]).reshape(-1, 2),
            limit=np.array(self._limits),
            reasons=tuple(self._reasons),
            plans=tuple(self._plans),
            frames=tuple(self._frames),
            bumps=np.array(self._bumps, dtype=np.float64).reshape(-1, 3),
            goal_frame=self.goal_frame,
            moments=tuple(self._moments),
            people=np.stack(self._people) if self._people else np.zeros((0, 0, 3)),
            detail=self.detail,
        )


def _some(candidates: np.ndarray) -> np.ndarray:
    """At most FAN_SIZE of candidates (M,T,>=2), as (F,T,2)."""
    chosen = np.linspace(0, len(candidates) - 1, min(FAN_SIZE, len(candidates)))
    return np.asarray(candidates)[chosen.astype(int), :, :2].astype(np.float32)
