# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Settings of the planner, with units; the defaults are what was measured to work."""

from dataclasses import dataclass, field, replace
import math

import numpy as np

from wm_controller.safety.geometry import Areas, Floats, Footprint


@dataclass(frozen=True)
class RobotLimits:
    """What the base may be asked for: m/s and rad/s; `min_v` is negative for reverse.

    `deceleration`, m/s^2: what it brakes with.
    """

    min_v: float = -0.25
    max_v: float = 0.5
    max_w: float = 1.5
    deceleration: float = 1.5

    def within(self, action_limits: tuple[float, float, float]) -> 'RobotLimits':
        """Narrow them to what a model has seen: least and greatest v, m/s, greatest w, rad/s."""
        low, high, turn = action_limits
        return replace(self, min_v=max(self.min_v, low), max_v=min(self.max_v, high),
                       max_w=min(self.max_w, turn))

    @property
    def low(self) -> Floats:
        """Least command (2,): v, w."""
        return np.array([self.min_v, -self.max_w])

    @property
    def high(self) -> Floats:
        """Greatest command (2,): v, w."""
        return np.array([self.max_v, self.max_w])



METHODS = ('cem', 'icem', 'mppi')


@dataclass(frozen=True)
class SolverConfig:
    """How to search: candidates of each round, how many teach the next, and the noise.

    `method`: cem, icem or mppi; `refine`: then go along the gradient; `temperature`: of mppi.
    """

    method: str = 'icem'
    refine: bool = False
    candidates: tuple[int, ...] = (96, 56, 40)
    elites: int = 10
    sigma_v: float = 0.2
    sigma_w: float = 0.7
    correlation: float = 0.75
    momentum: float = 0.1
    min_sigma: float = 0.04
    temperature: float = 0.3

    @property
    def sigma(self) -> Floats:
        """Standard deviations (2,) of the first round's noise: v, w."""
        return np.array([self.sigma_v, self.sigma_w])

    @property
    def ranked(self) -> int | None:
        """How many of a round's candidates, the best, teach the next; None: all do."""
        return None if self.method == 'mppi' else self.elites

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f'solver {self.method!r} is none of {", ".join(METHODS)}')


@dataclass(frozen=True)
class EffortConfig:
    """When a glance at the last plan and what is proposed is enough, without a search.

    Where the best of its `candidates`, drawn with a share `noise` of the search's, costs up to
    `slack` m of way more than the last plan did, or up to `ahead` m less: all goes as planned.
    And where there is `room` m beside the robot all along, and the ensemble differs less than
    `disagreement` times what is usual. Every `searches`-th plan is searched for in any case:
    another way may have opened. A search ends with the round that gained less than `enough` m of
    way. No candidates: always search, to the end. Not `search`: never, which is what the
    proposals are worth by themselves.
    """

    candidates: int = 16
    noise: float = 0.5
    slack: float = 0.1
    ahead: float = 0.5
    room: float = 0.02
    disagreement: float = 2.0
    searches: int = 8
    enough: float = 0.03
    search: bool = True


@dataclass(frozen=True)
class HierarchyConfig:
    """How the upper level plans, and how far the lower one trusts it.

    `chunks` ahead, a new search every `period_s`; nearer to the goal than `flat_within` m the
    lower level plans alone. `noise`: of the first round, in spans of the macro-actions; `near`:
    weight of nearness; `trust` (0..1): share of the subgoal in the lower level's cost;
    `likeness`: m for a unit of difference between abstract states.
    """

    chunks: int = 5
    period_s: float = 0.8
    flat_within: float = 1.5
    noise: float = 0.25
    near: float = 1.5
    trust: float = 0.15
    likeness: float = 0.3
    solver: SolverConfig = field(default_factory=lambda: SolverConfig(
        candidates=(128, 64, 32), elites=8, correlation=0.3))


@dataclass(frozen=True)
class CostWeights:
    """Weight of each term of the cost, in metres of way per unit of the term."""

    way: float = 1.0
    final_way: float = 1.0
    heading: float = 1.0
    time_to_reach: float = 0.15
    time_to_picture: float = 0.15
    near: float = 3.0
    fast_near: float = 1.5
    imagined_near: float = 0.6
    moving: float = 3.0
    disagreement: float = 0.1
    reverse: float = 0.3
    turn: float = 0.02
    change: float = 0.08


MARGIN_M = 0.04
MARGIN_WITHOUT_LASER_M = 0.08  # nothing but the camera keeps the robot from obstacles


@dataclass(frozen=True)
class PilotConfig:
    """How the pilot drives; lengths in m, times in s."""

    horizon_steps: int = 12
    period_s: float = 0.1  # between two plans
    goal_tolerance: float = 0.15
    areas: Areas = field(default_factory=Areas)
    footprint: Footprint = field(default_factory=lambda: Footprint.circle(0.18))
    margin: float = MARGIN_M
    comfort: float = 0.20
    comfort_moving: float = 0.35  # to what moves
    limits: RobotLimits = field(default_factory=RobotLimits)
    solver: SolverConfig = field(default_factory=SolverConfig)
    weights: CostWeights = field(default_factory=CostWeights)
    command_delay_s: float = 0.12
    obstacle_range: float = 1.8
    cost_to_go_period_s: float = 0.3
    stuck_after_s: float = 0.8
    back_off_s: float = 1.8
    stalled_after_s: float = 4.0
    stalled_within: float = 0.25
    look_around_s: float = 3.0
    doubt_after_s: float = 1.5
    doubt_within: float = 1.2  # m, of the robot that stands and cannot say why
    unreachable_after_s: float = 15.0
    lost_after_s: float = 2.0
    look_rounds: int = 2  # turns to find a goal picture again, before it is called lost
    doubt_picture_s: float = 4.0  # at its place, without recognising it
    look_elsewhere_s: float = 8.0  # driven between two turns, while it is unknown where it is
    compare_s: float = 1.5  # that a goal picture is faced before it counts as reached,
    picture_share: float = 0.6  # within this share of the tolerance: its place is a guess
    find_every_s: float = 2.0  # that a goal picture out of sight is looked for among places
    found_within: float = 0.7  # m from there, what is seen of the picture is believed
    use_memory: bool = True  # of space
    use_movers: bool = True  # foresee where what moves will be
    compensate_latency: bool = True  # plan for when the command will act
    hear_admitted: bool = True  # follow what guardrails let through, not what was wished
    hierarchical: bool = False
    use_upper_level: bool = True  # by a hierarchical planner,
    use_places: bool = True  # likewise,
    use_compass: bool = True  # to steady the odometry that places lie in
    use_proposals: bool = True  # of a network that the search taught, where the model has one
    effort: EffortConfig = field(default_factory=EffortConfig)
    hierarchy: HierarchyConfig = field(default_factory=HierarchyConfig)
    keep_candidates: int = 24
    drawn_futures: int = 1

    @property
    def look_speed(self) -> float:
        """How fast to turn to look round, rad/s."""
        return 0.6 * self.limits.max_w

    @property
    def look_all_round_s(self) -> float:
        """How long a whole turn takes, s."""
        return 2 * math.pi / self.look_speed
