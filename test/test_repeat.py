# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The shipped model repeats a route that it was shown once, another day, from somewhere on it."""

from pathlib import Path

import pytest

from wm_controller.evaluation.episodes import LoopSettings, run_episode
from wm_controller.evaluation.recorder import Keep
from wm_controller.evaluation.runner import Job, make_guard, policy_factory
from wm_controller.evaluation.tasks import make_task, Repeat, TaskSpec

MODEL = Path(__file__).resolve().parents[1] / 'models' / 'indoor.safetensors'


@pytest.mark.parametrize('index, repeat', [
    (0, Repeat(backwards=True)), (1, Repeat(changed=True, anywhere=True))])
def test_a_short_route_is_repeated_the_next_day(index, repeat):
    spec = TaskSpec(3, 'training', 'route', (2.0, 3.0), people=0, repeat=repeat)
    settings = LoopSettings(teach=True, repeat=repeat, fixed_plan_s=0.04)
    job = Job(spec, 'hierarchical', MODEL)
    episode = run_episode(
        make_task(index, spec), policy_factory(job, settings), lambda: make_guard(settings),
        planner='hierarchical', settings=settings, keep=Keep(frame_period_s=None))
    assert episode.end_state == 'reached' and episode.reached
    assert episode.off_route_m < 0.8
