# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
import math

from hypothesis import assume, given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import torch

from drawn_world import draw
from futures import future_of
from wm_controller.data.schema import CLEARANCE_BEARINGS
from wm_controller.memory.free_space import FreeSpace
from wm_controller.planning import objectives, recovery
from wm_controller.planning.candidates import shifted
from wm_controller.planning.config import PilotConfig, RobotLimits, SolverConfig
from wm_controller.planning.contract import ExploreGoal
from wm_controller.planning.outline import outline
from wm_controller.planning.pilot import ImageGoal, Observation, Pilot, PoseGoal
from wm_controller.safety.envelope import clear_scale
from wm_controller.safety.geometry import integrate, to_child
from wm_controller.safety.limits import Limits
from wm_controller.safety.sweep import trajectories_clear
from wm_controller.safety.tracking import Command
from wm_controller.world_model.bundle import load_bundle, save_bundle
from wm_controller.world_model.model import WorldModel
from wm_controller.world_model.spec import Architecture, ModelSpec

LIMITS = RobotLimits()


def test_a_warm_start_moves_on_by_parts_of_a_step():
    sequence = np.arange(8.0).reshape(4, 2)
    assert np.allclose(shifted(sequence, 0.0), sequence)
    assert np.allclose(shifted(sequence, 1.0)[:3], sequence[1:])
    assert np.allclose(shifted(sequence, 0.5)[0], sequence[:2].mean(0))
    assert np.allclose(shifted(sequence, 99.0), sequence[-1])


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    torch.manual_seed(1)
    torch.set_num_threads(1)
    spec = ModelSpec(
        clearance_bearings=tuple(CLEARANCE_BEARINGS.tolist()), architecture=Architecture(
            encoder_channels=(8, 16, 16), latent=24, state=32, predictor_hidden=32,
            head_hidden=16, goal_channels=(8, 8, 8)))
    path = tmp_path_factory.mktemp('bundle') / 'small.safetensors'
    save_bundle(path, WorldModel(spec), gates={'passed': True}, training={},
                energy_quantiles=tuple(np.linspace(0, 3, 101)))
    return load_bundle(path)


def situation(goal=(4.0, 0.0), obstacles=None, memory=None):
    memory = memory or FreeSpace(0.18)
    memory.occupy_track(0.0, np.zeros(3))
    goal = np.array(goal)
    points = np.zeros((0, 2)) if obstacles is None else np.asarray(obstacles, float)
    return memory, objectives.Situation(np.zeros(3), goal, points, memory.cost_to_go(goal),
                                        np.zeros(2))


def test_what_would_touch_a_remembered_obstacle_is_removed_not_penalised():
    memory, state = situation(obstacles=[[0.6, 0.0]])
    straight, aside = np.tile([0.5, 0.0], (12, 1)), np.tile([0.3, 1.5], (12, 1))
    cost = objectives.cost(future_of(np.stack([straight, aside])), state, memory, PilotConfig())
    assert np.isinf(cost[0]) and np.isfinite(cost[1])


@given(st.lists(st.tuples(st.floats(-1, 2), st.floats(-1.5, 1.5)), max_size=30),
       st.integers(0, 1000))
@settings(max_examples=30)
def test_the_planner_judges_a_trajectory_as_the_guardrail_geometry_does(points, seed):
    rng = np.random.default_rng(seed)
    actions = np.clip(rng.normal([0.3, 0], [0.2, 0.8], (10, 12, 2)), [0, -1.5], [0.5, 1.5])
    memory, state = situation(obstacles=np.array(points).reshape(-1, 2))
    config = PilotConfig()
    future = future_of(actions)
    judged = np.isfinite(objectives.cost(future, state, memory, config))
    clear = trajectories_clear(config.footprint, future.poses.numpy()[:, 1:], state.obstacles,
                               config.margin, start=np.zeros(3))
    assert (judged == clear).all()


@given(st.floats(-0.25, 0.5), st.floats(-1.5, 1.5),
       st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=8))
@settings(max_examples=200)
def test_the_planner_and_the_guardrail_judge_one_way_to_a_stop_alike(v, w, points):
    """The node lets a twist through where the planner would take the way on it to a stop."""
    limits = Limits()
    braking = limits.braking_time(v, w)
    horizon = limits.reaction_time_s + braking / 2  # at the full twist
    times = np.linspace(0.0, horizon, 400)
    poses = integrate(np.zeros(3), v, w, times)[None]
    seen = np.array(points)
    # Right at the margin, one looks at instants and the other at all of the way.
    gaps = np.array([limits.outline.distance(to_child(pose, seen)) for pose in poses[0]])
    assume((np.abs(gaps.min(0) - limits.margin) > 2e-3).all() and gaps[0].min() > limits.margin)
    planner = trajectories_clear(limits.outline, poses, seen, limits.margin, start=np.zeros(3))[0]
    assert planner == (clear_scale(limits, Command(v, w), seen) == 1.0)


def test_backing_up_is_allowed_only_over_ground_that_was_found_free():
    memory, state = situation()
    back = np.tile([-0.25, 0.0], (1, 12, 1))
    assert np.isinf(objectives.cost(future_of(back), state, memory, PilotConfig())[0])
    for x in np.arange(-1.2, 0.0, 0.1):
        memory.occupy_track(0.0, np.array([x, 0.0, 0.0]))
    assert np.isfinite(objectives.cost(future_of(back), state, memory, PilotConfig())[0])


def test_nearer_to_the_goal_and_clear_of_things_is_cheaper():
    memory, state = situation()
    towards, away = np.tile([0.5, 0.0], (12, 1)), np.tile([0.5, 1.5], (12, 1))
    config = PilotConfig()
    cost = objectives.cost(future_of(np.stack([towards, away])), state, memory, config)
    assert cost[0] < cost[1]
    tight = objectives.cost(future_of(towards[None], clearance=0.2), state, memory, config)
    assert tight[0] > cost[0]


def test_a_goal_behind_is_turned_to_rather_than_backed_to():
    memory = FreeSpace(0.18)
    for x in np.arange(-4.0, 0.0, 0.1):
        memory.occupy_track(0.0, np.array([x, 0.0, 0.0]))
    _, state = situation(goal=(-4.0, 0.0), memory=memory)
    back, turn = np.tile([-0.25, 0.0], (12, 1)), np.tile([0.0, np.pi / 2.4], (12, 1))
    cost = objectives.cost(future_of(np.stack([back, turn])), state, memory, PilotConfig())
    assert cost[1] < cost[0]


def traced_cost(pilot, memory, state, config):
    """What the planner minimises, of actions (N, T, 2) as tensors."""
    start = pilot.estimator.latest.state

    def cost(actions):
        future = pilot.imagination.traced(start, actions, np.array([1.5, 0.5]))
        return objectives.preferences(future, state, memory, config)
    return cost


def test_the_slope_of_the_cost_is_how_it_changes_with_the_actions(bundle):
    pilot = Pilot(bundle)
    observe(pilot, 0.0, np.zeros(3))
    memory, state = situation(goal=(1.5, 0.5))
    memory.block(0.0, np.array([0.5, 0.3, 0.0]), 0.0)
    cost = traced_cost(pilot, memory, state, PilotConfig())
    rng = np.random.default_rng(0)
    actions = torch.from_numpy(rng.uniform([0.1, -1.0], [0.4, 1.0], (1, 12, 2))).requires_grad_()
    slope, = torch.autograd.grad(cost(actions).sum(), actions)
    rises, told = [], []
    for _ in range(40):
        step = torch.from_numpy(0.05 * rng.standard_normal((1, 12, 2)))
        with torch.no_grad():
            rises.append(float(cost(actions + step) - cost(actions - step)))
        told.append(2 * float((slope * step).sum()))
    # What memory knows lies on a grid, so that slopes are those of the cells about.
    assert np.corrcoef(rises, told)[0, 1] > 0.95
    assert np.polyfit(told, rises, 1)[0] == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize('method', ['cem', 'icem', 'mppi'])
def test_every_solver_drives_and_the_gradient_makes_its_plans_no_worse(bundle, method):
    costs = []
    for refine in (False, True):
        pilot = Pilot(bundle, PilotConfig(solver=SolverConfig(method=method, refine=refine)))
        pilot.set_goal(PoseGoal(2.0, 0.5))
        found = []
        for i in range(4):
            observe(pilot, 0.2 * i, np.array([0.02 * i, 0.0, 0.0]))
            plan = pilot.plan(0.2 * i + 0.05, math.inf)
            assert plan.state == 'planning' and np.isfinite(plan.cost)
            found.append(plan.cost)
        costs.append(found[0])  # later ones begin elsewhere
    assert costs[1] <= costs[0]


def test_what_stopped_the_robot_is_what_the_camera_sees_nearest():
    bearings, far = np.deg2rad(np.linspace(42, -42, 15)), np.full(15, 2.0)
    jamb = far.copy()
    jamb[12] = 0.3
    direction, half_width = recovery.held_up_by(1, bearings, jamb, 0.18)
    assert direction == bearings[12] and half_width < 0.18
    assert recovery.held_up_by(1, bearings, far, 0.18) == (0.0, None)
    assert recovery.held_up_by(-1, bearings, jamb, 0.18) == (np.pi, None)


def observe(pilot, stamp, pose, v=0.0):
    pilot.observe(Observation(stamp, draw(pose), pose, np.array([v, 0.0])))


def test_a_pilot_without_a_goal_or_without_an_image_commands_nothing(bundle):
    pilot = Pilot(bundle)
    assert (pilot.plan(1.0, 0.1).v, pilot.plan(1.0, 0.1).state) == (0.0, 'idle')
    pilot.set_goal(PoseGoal(2.0, 0.0))
    assert (pilot.plan(1.0, 0.1).v, pilot.plan(1.0, 0.1).w) == (0.0, 0.0)


def test_plans_are_finite_within_limits_and_stamped_with_their_image(bundle):
    pilot = Pilot(bundle, PilotConfig(limits=RobotLimits(-0.1, 0.3, 1.0)))
    pilot.set_goal(PoseGoal(3.0, 1.0))
    pose = np.zeros(3)
    for i in range(10):
        observe(pilot, 10 + 0.1 * i, pose)
        plan = pilot.plan(10 + 0.1 * i + 0.03, 1.0)
        assert plan.stamp == pytest.approx(10 + 0.1 * i)
        assert -0.1 <= plan.v <= 0.3 and abs(plan.w) <= 1.0
        assert np.isfinite(plan.path).all() and plan.state == 'planning'
        pose = integrate(pose, plan.v, plan.w, 0.1)
    assert plan.path.shape == (13, 3) and plan.candidates.shape[1:] == (13, 3)
    assert 0.0 <= plan.surprise <= 1.0


def test_the_same_seed_and_frames_give_the_same_commands(bundle):
    def drive():
        pilot = Pilot(bundle, seed=4)
        pilot.set_goal(PoseGoal(3.0, 1.0))
        commands = []
        for i in range(6):
            observe(pilot, 0.1 * i, np.array([0.02 * i, 0.0, 0.0]))
            plan = pilot.plan(0.1 * i + 0.05, math.inf)
            commands.append((plan.v, plan.w))
        return commands

    assert drive() == drive()


def test_at_the_goal_it_stops_says_so_and_does_not_start_again_for_a_little_drift(bundle):
    pilot = Pilot(bundle)
    pilot.set_goal(PoseGoal(1.0, 0.0))
    observe(pilot, 0.0, np.array([0.9, 0.0, 0.0]))
    plan = pilot.plan(0.05, 1.0)
    assert (plan.state, plan.v, plan.w) == ('reached', 0.0, 0.0)
    observe(pilot, 0.1, np.array([0.78, 0.0, 0.0]))
    assert pilot.plan(0.15, 1.0).state == 'reached'
    observe(pilot, 0.2, np.array([0.2, 0.0, 0.0]))
    assert pilot.plan(0.25, 1.0).state == 'planning'


def test_a_heading_at_the_goal_is_turned_to_before_it_counts_as_reached(bundle):
    pilot = Pilot(bundle)
    pilot.set_goal(PoseGoal(1.0, 0.0, yaw=1.5))
    observe(pilot, 0.0, np.array([1.0, 0.0, 0.0]))
    plan = pilot.plan(0.05, 1.0)
    assert plan.state == 'planning' and plan.v == 0.0 and plan.w > 0.2
    observe(pilot, 0.1, np.array([1.0, 0.0, 1.45]))
    assert pilot.plan(0.15, 1.0).state == 'reached'


def test_a_picture_that_resembles_nothing_is_called_lost_and_not_driven_to(bundle):
    pilot = Pilot(bundle)
    pilot.set_goal(ImageGoal(np.zeros((72, 96, 3), np.uint8)))
    pilot._goal.scale = 5.0
    states = []
    for i in range(260):
        observe(pilot, 0.1 * i, np.zeros(3))
        pilot._goal.scale = 5.0
        states.append(pilot.plan(0.1 * i + 0.05, 0.01).state)
    assert states[-1] == 'lost'


def test_it_explores_until_nothing_is_left(bundle):
    pilot = Pilot(bundle)
    assert pilot.explores
    pilot.set_goal(ExploreGoal())
    states = set()
    for i in range(10):
        observe(pilot, 0.1 * i, np.array([0.02 * i, 0.0, 0.0]))
        plan = pilot.plan(0.1 * i + 0.05, 1.0)
        assert np.isfinite([plan.v, plan.w]).all()
        states.add(plan.state)
    assert states <= {'planning', 'reached'}
    shown = outline(pilot, 1.0, np.zeros(3))
    assert len(shown.frontiers) == len(pilot.explorer.left) and len(shown.space.cells)
    if shown.target is not None:  # it heads for one of those
        assert np.hypot(*(shown.frontiers - shown.target).T).min() < 1e-9
    # A room that is known all over: there is nowhere left to look.
    pilot.explorer.target = lambda *_: None
    plan = pilot.plan(1.2, 1.0)
    assert (plan.v, plan.w, plan.state) == (0.0, 0.0, 'reached')


def test_held_up_for_a_while_it_remembers_the_spot_and_backs_off(bundle):
    pilot = Pilot(bundle)
    pilot.set_goal(PoseGoal(3.0, 0.0))
    for x in np.arange(-1.5, 0.01, 0.05):
        pilot.memory.occupy_track(0.0, np.array([x, 0.0, 0.0]))
    for i in range(16):
        pilot._last_action = np.array([0.4, 0.0])
        observe(pilot, 0.1 * i, np.zeros(3))
    assert pilot.memory.clearance_at(np.array([0.33, 0.0])) < 0.15
    plan = pilot.plan(1.55, 1.0)
    assert plan.v < 0.0 and np.isinf(plan.cost)


def test_boxed_in_with_nothing_known_behind_it_turns_on_the_spot():
    memory = FreeSpace(0.18)
    memory.occupy_track(0.0, np.zeros(3))
    v, w = recovery.back_off(np.zeros(3), memory, PilotConfig())
    assert v == 0.0 and abs(w) > 0.1


@given(st.floats(-0.25, 0.5), st.floats(0.0, 6.0))
def test_with_nothing_left_it_brakes_along_the_last_admissible_plan(v, elapsed):
    plan = np.column_stack([np.full(12, 0.4), np.linspace(-1.0, 1.0, 12)])
    braking = recovery.brake_along(plan, elapsed, v, PilotConfig())
    assert 0.0 <= braking[0] <= max(0.0, v - 0.15) + 1e-9  # 1.5 m/s^2 for a tenth of a second
    assert abs(braking[1]) <= RobotLimits().max_w
    if braking[0] > 0:
        assert braking[1] / braking[0] == pytest.approx(shifted(plan, elapsed)[0, 1] / 0.4)


def test_odometry_that_jumps_starts_a_new_estimate(bundle):
    pilot = Pilot(bundle)
    observe(pilot, 0.0, np.zeros(3))
    observe(pilot, 0.2, np.array([0.05, 0.0, 0.0]))
    assert not pilot.estimator.latest.fresh_start
    pilot.memory.block(0.2, np.zeros(3), 0.0)
    observe(pilot, 0.4, np.array([5.0, 0.0, 0.0]))
    assert pilot.estimator.latest.fresh_start and pilot.estimator.latest.jumped
    assert not len(pilot.memory.obstacles_near(np.zeros(3), 1.0)), 'places are void after a reset'
    observe(pilot, 0.6, np.array([5.05, 0.0, 0.0]))
    assert not pilot.estimator.latest.jumped


def test_without_odometry_the_pose_is_reckoned_from_what_the_model_imagines(bundle):
    pilot = Pilot(bundle)
    for i in range(6):
        pilot.observe(Observation(0.2 * i, draw(np.zeros(3))))
    assert np.isfinite(pilot.estimator.latest.pose).all()
    pilot.set_goal(PoseGoal(2.0, 0.0))
    assert np.isfinite(pilot.plan(1.05, 1.0).v)


def test_commands_are_averaged_over_the_time_they_were_in_force(bundle):
    estimator = Pilot(bundle).estimator
    estimator.commanded(0.0, 0.2, 0.0)
    estimator.commanded(0.1, 0.4, 1.0)
    assert estimator.mean_command(0.0, 0.2) == pytest.approx([0.3, 0.5])
    assert estimator.mean_command(-0.2, 0.0) == pytest.approx([0.0, 0.0])
    assert estimator.mean_command(0.3, 0.3) == pytest.approx([0.4, 1.0])


def test_what_guardrails_let_through_counts_for_more_than_what_was_sent(bundle):
    estimator = Pilot(bundle).estimator
    estimator.commanded(0.0, 0.4, 1.0)
    for i in range(5):
        estimator.admitted(0.02 * i, 0.1 * (i % 2), 0.0)
    assert estimator.mean_command(0.0, 0.08) == pytest.approx([0.05, 0.0])
    assert estimator.fork().mean_command(0.0, 0.08) == pytest.approx([0.05, 0.0])
    # nobody tells any more: what was sent is all that is known
    assert estimator.mean_command(0.8, 1.0) == pytest.approx([0.4, 1.0])
    estimator.reset()
    assert estimator.mean_command(0.0, 0.08) == pytest.approx([0.0, 0.0])


def test_limits_of_robot_and_model_both_hold(bundle):
    pilot = Pilot(bundle, PilotConfig(limits=RobotLimits(-1.0, 2.0, 9.0)))
    assert pilot.config.limits == RobotLimits(-0.25, 0.5, 1.5)


def test_staying_in_a_small_circle_for_long_is_a_stall_and_driving_is_not():
    stall = recovery.StallDetector(after_s=4.0, within_m=0.25)
    circle = [stall.update(0.1 * i, np.array([0.1 * np.cos(i), 0.1 * np.sin(i), 0.0]))
              for i in range(90)]
    assert sum(circle) == 2 and not any(circle[:39])
    stall.reset()
    assert not any(stall.update(0.1 * i, np.array([0.02 * i, 0.0, 0.0])) for i in range(90))


def test_a_stalled_pilot_doubts_its_memory_and_looks_round(bundle):
    pilot = Pilot(bundle)
    pilot.set_goal(PoseGoal(3.0, 0.0))
    pilot.memory.block(0.0, np.array([0.6, 0.8, 0.0]), 0.0)
    believed = len(pilot.memory.obstacles_near(np.array([0.9, 0.8, 0.0]), 0.4))
    turned = []
    for i in range(50):
        observe(pilot, 0.1 * i, np.zeros(3))
        plan = pilot.plan(0.1 * i + 0.05, 0.005)
        turned.append(plan.v == 0.0 and abs(plan.w) > 0.5 and np.isinf(plan.cost))
    assert believed > 0 and any(turned[40:]) and not any(turned[:39])
