# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The closed loop without ROS: simulator, guard and policy in simulated time, real timing.

A plan costs the processor time that it took here plus a fixed allowance for transport; its command
takes effect that much later, and frames that come meanwhile wait in a mailbox of one. So a drive
is judged as it would go on a robot with this processor, however many run side by side.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
import math
import time

import numpy as np

from wm_controller.evaluation.detail import Detail
from wm_controller.evaluation.encoded import jpeg
from wm_controller.evaluation.policy import Policy
from wm_controller.evaluation.recorder import DriveRecorder, Keep
from wm_controller.evaluation.records import Episode, Task
from wm_controller.evaluation.tasks import Repeat, room_of
from wm_controller.evaluation.teaching import another_time, hand_over, Teacher
from wm_controller.planning.contract import (
    ExploreGoal,
    Goal,
    ImageGoal,
    Observation,
    Plan,
    PoseGoal,
    RouteGoal,
)
from wm_controller.planning.film import shown_steps
from wm_controller.planning.outline import outline
from wm_controller.safety.geometry import compose, relative
from wm_controller.safety.guard import Guard
from wm_controller.simulation.another_day import other_exposure
from wm_controller.simulation.rooms import Room
from wm_controller.simulation.simulator import CameraSpec, RobotSpec, Simulator

CLOCK_START_S = 1000.0  # a stamp of zero is no stamp to the guard
SETTLE_S = 2.0  # to come to rest after the policy says that it has arrived
GIVE_UP_S = 5.0  # a policy that calls its goal unreachable for so long has given up
STANDING_M_S = 0.01
NOWHERE = PoseGoal(1e6, 0.0)  # for baselines that explore: never reached


@dataclass(frozen=True)
class LoopSettings:
    """Rates, timing and sensors of the loop."""

    camera_period_s: float = 0.1
    scan_period_s: float = 0.1
    tick_s: float = 0.02  # odometry and guard
    period_s: float = 0.1  # of control: a plan that takes longer is late
    plan_time_s: float = 0.07  # that one cycle may take, as the controller node allows
    transport_s: float = 0.015  # of image and command, together
    fixed_plan_s: float | None = None  # instead of the measured time: the same on any machine
    scan: bool = True
    teach: bool = False  # the way is driven before, by a hand,
    repeat: Repeat | None = None  # and then another time
    camera: CameraSpec = field(default_factory=CameraSpec)
    robot: RobotSpec = field(default_factory=RobotSpec)


# Builds the policy for a drive; baselines need the simulator's truth.
PolicyFactory = Callable[[Simulator, Task], Policy]


@dataclass(frozen=True)
class _Command:
    """A plan on its way to the wheels: it arrives at `at` (s)."""

    at: float
    plan: Plan
    stamp: float


class _Planner:
    """The policy behind its mailbox: one frame at a time, the newest wins, time is charged."""

    def __init__(self, policy: Policy, settings: LoopSettings, recorder: DriveRecorder) -> None:
        self._policy, self._settings, self._recorder = policy, settings, recorder
        self._mail: Observation | None = None
        self._free_at = -math.inf
        self._under_way: deque[_Command] = deque()

    def offer(self, observation: Observation) -> None:
        """Put a frame in the mailbox, in place of one that is still there."""
        self._mail = observation

    def run(self, now: float) -> Plan | None:
        """Plan from the waiting frame if the planner is free by now; the plan arrives later."""
        if self._mail is None or self._free_at > now:
            return None
        observation, self._mail = self._mail, None
        start = max(observation.stamp, self._free_at)
        settings = self._settings
        before = time.thread_time()
        self._policy.observe(observation)
        seen_s = time.thread_time() - before
        budget_s = max(settings.plan_time_s - seen_s, 0.005)
        plan = self._policy.plan(start + seen_s, budget_s)
        spent_s = time.thread_time() - before
        if settings.fixed_plan_s is not None:
            spent_s = settings.fixed_plan_s
        self._free_at = start + spent_s
        self._recorder.plans += 1
        self._recorder.plan_s.append(spent_s)
        self._recorder.deadline_misses += plan.late or spent_s > settings.period_s
        arrival = self._free_at + self._settings.transport_s
        self._under_way.append(_Command(arrival, plan, observation.stamp))
        return plan

    def arrived(self, now: float) -> list[_Command]:
        """Commands that have reached the guard by now, oldest first."""
        arrived = []
        while self._under_way and self._under_way[0].at <= now + 1e-9:
            arrived.append(self._under_way.popleft())
        return arrived


def run_episode(
    task: Task,
    make_policy: PolicyFactory,
    make_guard: Callable[[], Guard],
    *,
    planner: str,
    settings: LoopSettings,
    keep: Keep,
    room: Room | None = None,
) -> Episode:
    """Attempt one drive, in the task's room, or in a `room` that differs from it by its people."""
    cpu_before = time.process_time()
    simulator = _simulator(task, settings, room)
    try:
        picture = track = None
        if task.goal_kind == 'image' and not settings.teach:
            simulator.reset(pose=np.array(task.goal), seed=task.seed)
            picture = simulator.image()
        simulator.reset(pose=np.array(task.start), seed=task.seed)
        policy = make_policy(simulator, task)
        policy.reset()
        if settings.teach:
            lesson = Teacher(
                simulator, policy, make_guard(), tick_s=settings.tick_s,
                camera_period_s=settings.camera_period_s, clock_start_s=CLOCK_START_S).show(task)
            task, track = lesson.task, lesson.track
            picture = lesson.picture if task.goal_kind == 'image' else None
            if settings.repeat is not None:
                simulator.close()
                task, taught = another_time(lesson, settings.repeat), policy
                simulator = _simulator(task, settings)
                simulator.reset(pose=np.array(task.start), seed=task.seed)
                policy = make_policy(simulator, task)
                policy.reset()
                hand_over(taught, policy)
        recorder = DriveRecorder(task, keep)
        recorder.route = track if task.goal_kind == 'route' else None
        if picture is not None:
            recorder.goal_frame = jpeg(picture, 320)
        backwards = settings.repeat is not None and settings.repeat.backwards
        policy.set_goal(_goal(simulator, task, policy, picture, backwards))
        loop = _Loop(simulator, policy, make_guard(), settings, recorder)
        state = loop.run(task.timeout_s)
    finally:
        simulator.close()
    return recorder.finish(
        loop.elapsed_s,
        planner=planner,
        claimed=state == 'reached',
        end_state=state,
        cpu_s=time.process_time() - cpu_before,
    )


def _simulator(task: Task, settings: LoopSettings, room: Room | None = None) -> Simulator:
    room = room or room_of(task)
    return Simulator(room, other_exposure(settings.camera, room, task.day), settings.robot,
                     seed=task.seed)


def _goal(simulator: Simulator, task: Task, policy: Policy, goal_image: np.ndarray | None,
          backwards: bool = False) -> Goal:
    sees = getattr(policy, 'uses_camera', True)
    if task.goal_kind == 'explore':
        return ExploreGoal() if sees else NOWHERE
    if task.goal_kind == 'route' and sees:
        return RouteGoal(backwards)
    if task.goal_kind == 'image' and goal_image is not None and sees:
        return ImageGoal(goal_image)
    x, y, yaw = simulator.world_to_odom(np.array(task.goal))
    return PoseGoal(float(x), float(y), float(yaw) if task.goal_kind == 'image' else None)


class _Loop:
    """One drive, tick by tick."""

    def __init__(
        self,
        simulator: Simulator,
        policy: Policy,
        guard: Guard,
        settings: LoopSettings,
        recorder: DriveRecorder,
    ) -> None:
        self._simulator, self._guard, self._policy = simulator, guard, policy
        self._settings, self._recorder = settings, recorder
        self._planner = _Planner(policy, settings, recorder)
        self._sees = getattr(policy, 'uses_camera', True)
        self._tell = getattr(policy, 'admitted', None)  # baselines do not ask
        self._no_image = np.zeros((settings.camera.height, settings.camera.width, 3), np.uint8)
        self._seen, self._wanted = self._no_image, (0.0, 0.0)
        self._begun_s, self._bumps = simulator.time, simulator.collisions
        self._state, self._since = 'idle', 0.0

    @property
    def elapsed_s(self) -> float:
        """Since the drive began, s."""
        return self._simulator.time - self._begun_s

    def run(self, timeout_s: float) -> str:
        """Drive until the policy has arrived or given up, or time is out; its last state."""
        every_camera = round(self._settings.camera_period_s / self._settings.tick_s)
        every_scan = round(self._settings.scan_period_s / self._settings.tick_s)
        tick = 0
        while self.elapsed_s < timeout_s - 1e-9:
            now = CLOCK_START_S + self._simulator.time
            self._sense_odometry(now)
            if self._settings.scan and tick % every_scan == 0:
                self._sense_scan(now)
            if tick % every_camera == 0:
                self._see(now)
            self._plan(now)
            self._act(now)
            if self._finished():
                break
            tick += 1
        return self._state

    def _sense_odometry(self, now: float) -> None:
        odometry = self._simulator.odometry
        stamp = CLOCK_START_S + odometry.stamp
        self._guard.on_odometry(odometry.pose, tuple(odometry.twist), stamp, now, now)

        if self._recorder.detail:
            self._recorder.detail.measure(self.elapsed_s, *odometry.twist)

    def _sense_scan(self, now: float) -> None:
        scan = self._simulator.scan()
        points = scan.points()
        self._guard.on_scan(points, now, now, now, sees_m=scan.range_max)
        if self._recorder.detail:
            poses = np.column_stack([points, np.zeros(len(points))])
            self._recorder.detail.scan(
                self.elapsed_s, compose(self._simulator.pose, poses)[:, :2])

    def _see(self, now: float) -> None:
        t = self.elapsed_s
        image, log = self._no_image, self._recorder.log
        if self._sees or self._recorder.wants_frame(t) or (log and log.is_due(now)):
            image = self._simulator.image()
            self._recorder.frame(t, image)
            if log:
                log.see(now, image, self._simulator)
        self._seen, odometry = image, self._simulator.odometry
        self._planner.offer(Observation(now, image, odometry.pose, odometry.twist))

    def _plan(self, now: float) -> None:
        plan = self._planner.run(now)
        if plan is None:
            return
        if self._recorder.detail:
            self._recorder.detail.think(
                self.elapsed_s, plan.surprise, self._recorder.plan_s[-1])
            self._imagine(plan, self._recorder.detail)
        if len(plan.path) and self._recorder.wants_moment(self.elapsed_s):
            known = outline(self._policy, plan.stamp, plan.path[0])
            self._recorder.moment(self.elapsed_s, plan, known, self._to_world)
        if len(plan.path) > 1:
            # Drawn from where the robot truly is: drift would tear the fan off the driven path.
            self._recorder.plan(
                self.elapsed_s,
                self._to_world(plan.path),
                None if plan.candidates is None else self._to_world(plan.candidates),
            )

    def _imagine(self, plan: Plan, detail: Detail) -> None:
        # The mailbox holds one frame: the plan was made from the last one that was offered.
        draw = getattr(self._policy, 'film', None)
        if draw is None or plan.imagined is None or not detail.wants_picture(self.elapsed_s):
            return
        steps = shown_steps(len(plan.imagined.actions))
        detail.imagine(self.elapsed_s, np.hstack(list(draw(plan.imagined, self._seen, steps))))

    def _to_world(self, poses: np.ndarray) -> np.ndarray:
        odometry = self._simulator.odometry.pose
        return compose(self._simulator.pose, relative(odometry, np.asarray(poses)))

    def _act(self, now: float) -> None:
        for command in self._planner.arrived(now):
            plan = command.plan
            self._guard.on_command('auto', plan.v, plan.w, command.stamp, now, now)
            if math.isfinite(plan.surprise):
                self._guard.on_surprise(plan.surprise, now)
            self._wanted = (plan.v, plan.w)
            self._recorder.commands += 1
            self._recorder.latencies_s.append(command.at - command.stamp)
            if plan.state != self._state:
                self._state, self._since = plan.state, now
        verdict = self._guard.step(now, now)
        self._simulator.command(verdict.v, verdict.w)
        if self._tell:
            self._tell(now, verdict.v, verdict.w)
        if self._recorder.log:
            self._recorder.log.admit(verdict.v, verdict.w)
        self._simulator.step(self._settings.tick_s)
        t = self.elapsed_s
        admitted = (verdict.v, verdict.w)
        self._recorder.sample(
            t, self._simulator.pose, self._wanted, admitted, verdict.limit, verdict.reasons,
            self._simulator.people,
        )
        for _ in range(self._simulator.collisions - self._bumps):
            self._recorder.bump(t)
        self._bumps = self._simulator.collisions

    def _finished(self) -> bool:
        in_state_s = CLOCK_START_S + self._simulator.time - self._since
        if self._state == 'reached':
            standing = abs(self._simulator.twist[0]) < STANDING_M_S
            return in_state_s > SETTLE_S or (standing and in_state_s > 0.3)
        return self._state == 'unreachable' and in_state_s > GIVE_UP_S
