# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The public benchmark TwoRoom of `stable-worldmodel`: data, training, and driving of every row.

The package lives in an environment of its own (`make tworoom-env`), where `tworoom_program` runs;
everything is kept in one folder, so that a run goes on where it was stopped.
"""

from collections.abc import Callable
from dataclasses import dataclass
import hashlib
import json
import os
from pathlib import Path
import subprocess
import time
from typing import Any

import numpy as np

import wm_controller
from wm_controller.errors import InputError
from wm_controller.evaluation.tworoom_data import convert, SPEED
from wm_controller.evaluation.tworoom_pipe import receive, send
from wm_controller.evaluation.tworoom_planner import TwoRoomPlanner
from wm_controller.files import write_whole
from wm_controller.training.loop import train, TrainingOptions
from wm_controller.training.objective import Horizon, Weights
from wm_controller.world_model.bundle import load_bundle
from wm_controller.world_model.spec import Architecture

Told = Callable[[str, float], None]


@dataclass(frozen=True)
class Task:
    """Goals `offset` steps on in a recording of the expert, to be reached in `budget` steps."""

    offset: int
    budget: int
    aim: float


# Steps of episodes that are driven before the result is kept: minutes.
PART_STEPS, PEER_PART_STEPS = 10_000, 1_500
TASKS = (Task(25, 50, 0.95), Task(100, 150, 0.90))
OURS = {'ours': False, 'ours with odometry': True}
PEERS = ('lewm', 'pldm')
FLOORS = ('random', 'straight', 'expert')
ROWS = (*OURS, *PEERS, *FLOORS)

# As published for the protocol: noisy expert, episodes long enough for a goal 100 steps away.
COLLECTING = {'max_steps': 200, 'action_noise': 2.0, 'repeat_probability': 0.05}
ARCHITECTURE = Architecture(encoder_channels=(16, 32, 64), latent=64, state=128,
                            predictor_hidden=128, head_hidden=128, image_reach=True)
HORIZON = Horizon(observed=2, predicted=8, starts=2)
WEIGHTS = Weights(clearance=0.0, time_to_reach=0.0)  # there are only pictures
FIT_STEPS = 1200


@dataclass(frozen=True)
class Settings:
    """What is run: `folder` keeps data, models and results; `steps` are iterations of training."""

    folder: Path
    environment: Path
    episodes: int = 200
    peer_episodes: int = 200
    collected: int = 400
    steps: int = 1000
    threads: int = 1


class Benchmark:
    """Makes what is missing, row by row; `told(what, share done)` hears of progress."""

    def __init__(self, settings: Settings, told: Told) -> None:
        self.settings, self._told = settings, told
        self._python = settings.environment / 'bin' / 'python'
        if not self._python.exists():
            raise InputError(f'{settings.environment}: no environment with stable-worldmodel; '
                             'make it with `make tworoom-env`')
        settings.folder.mkdir(parents=True, exist_ok=True)

    def result(self, row: str, task: Task, seed: int) -> dict[str, Any]:
        """Return what one row did with one seed of training and of the drawn starts.

        Holds `successes` (a list of bool), `episode` and `start` of each, `plan_cpu_s` and, for
        a trained row, `training`.
        """
        count = self.settings.peer_episodes if row in PEERS else self.settings.episodes
        policy: dict[str, Any] = {'name': row}
        planner, training = None, None
        if row in OURS:
            training = self.train_ours(row, seed)
            bundle = load_bundle(training['model'])
            planner = TwoRoomPlanner(bundle.model, OURS[row], seed)
            policy = {'name': 'remote'}
        elif row in PEERS:
            training = self.train_peer(row, seed)
            policy |= {'model': training['model'], 'speed': SPEED,
                       'data': str(self.data(odometry=False))}
        # The weights themselves are named: results of a model that was trained anew are its own.
        identity = {'row': row, 'offset': task.offset, 'budget': task.budget, 'seed': seed,
                    'episodes': count, 'collected': self.settings.collected,
                    'model': _sha256(training['model']) if training else None}
        name = f'{row.replace(" ", "_")}-{seed}-{task.offset}.json'
        path = self.settings.folder / 'results' / name
        kept = _kept(path)
        if kept is not None and kept.get('identity') == identity:
            return kept
        size = (PEER_PART_STEPS if row in PEERS else PART_STEPS) // task.budget
        parts = [self._part(path.with_stem(f'{path.stem}-from-{first}'), identity, policy,
                            planner, first, size) for first in range(0, count, size)]
        result: dict[str, Any] = {key: [x for part in parts for x in part[key]]
                                  for key in ('successes', 'episode', 'start', 'plan_cpu_s')}
        result |= {'identity': identity, 'training': training}
        write_whole(path, json.dumps(result).encode())
        for first in range(0, count, size):
            path.with_stem(f'{path.stem}-from-{first}').unlink(missing_ok=True)
        return result

    def _part(self, path: Path, identity: dict[str, Any], policy: dict[str, Any],
              planner: TwoRoomPlanner | None, first: int, count: int) -> dict[str, Any]:
        """Drive some of the episodes; kept by itself, so that a stopped run loses little."""
        kept = _kept(path)
        if kept is not None and kept.get('identity') == identity:
            return kept
        request = {'verb': 'evaluate', 'data': str(self.recording('evaluation')),
                   'first': first, 'count': count, 'policy': policy,
                   **{key: identity[key] for key in ('offset', 'budget', 'episodes', 'seed')}}
        what = f'{identity["row"]} {identity["seed"]}: {identity["offset"]} away, from {first}'
        found = self._ask(request, what, planner, identity['budget'])
        spent = found['plan_cpu_s'] if planner is None else planner.plan_cpu_s
        found['plan_cpu_s'] = [float(np.mean(spent))] if spent else []
        found['identity'] = identity
        write_whole(path, json.dumps(found).encode(), make_folder=True)
        return found

    def recording(self, which: str) -> Path:
        """Collect the `training` or `evaluation` recording with the package's expert."""
        # A quarter as many episodes holds several hundred starts with a goal 100 steps away.
        count, seed = {'training': (self.settings.collected, 1),
                       'evaluation': (max(160, self.settings.collected // 4), 2)}[which]
        path = self.settings.folder / f'{which}-{count}.h5'
        if not path.exists():
            self._ask({'verb': 'collect', 'path': str(path), 'episodes': count, 'seed': seed,
                       **COLLECTING}, f'collecting {which} data')
        return path

    def data(self, odometry: bool) -> Path:
        """Convert the training recording to our schema."""
        source = self.recording('training')
        path = source.with_name(f'ours-{source.stem}{"-odometry" * odometry}.h5')
        if not path.exists():
            self._told('converting', 0.0)
            convert(source, path, odometry)
        return path

    def train_ours(self, row: str, seed: int) -> dict[str, Any]:
        """Train our model; returns `model` (path), `cpu_s`, `steps` and the gates."""
        steps = self.settings.steps
        name = f'{row.replace(" ", "_")}-{seed}-{steps}-{FIT_STEPS}.safetensors'
        path = self.settings.folder / name
        kept = _kept(path.with_suffix('.json'))
        if kept is not None and path.exists():
            return kept
        data = self.data(OURS[row])
        begun, first = time.process_time(), -1

        def report(progress: Any, share: float, terms: dict[str, float]) -> None:
            nonlocal first
            first = progress.iteration if first < 0 else first
            self._told(f'{row} {seed}: training, prediction {terms["prediction"]:.3f}, '
                       f'reach {terms["image_reach"]:.3f}', share)

        gates = train([data], TrainingOptions(
            output=path, steps=steps, seed=seed, batch=32, window=12, near_weight=1.0,
            mirror=False, exchange_colours=False, jitter_colours=False,
            threads=self.settings.threads, architecture=ARCHITECTURE, horizon=HORIZON,
            weights=WEIGHTS, image_reach_fit=FIT_STEPS, checkpoint_every_s=60.0), report)
        # A resumed run is charged for the part that was made before at the same rate.
        here = max(1, steps - max(first, 1) + 1)
        found = {'model': str(path), 'steps': steps,
                 'cpu_s': (time.process_time() - begun) * steps / here,
                 'parameters': sum(p.numel() for p in load_bundle(path).model.parameters()),
                 'gates': gates}
        write_whole(path.with_suffix('.json'), json.dumps(found).encode())
        return found

    def train_peer(self, row: str, seed: int) -> dict[str, Any]:
        """Train a peer for the processor time that ours took with seed 0."""
        path = self.settings.folder / f'{row}-{seed}-{self.settings.steps}.safetensors'
        kept = _kept(path.with_suffix('.json'))
        if kept is not None and path.exists():
            return kept
        found = self._ask({
            'verb': 'train', 'kind': row, 'data': str(self.data(odometry=False)),
            'output': str(path), 'cpu_s': self.train_ours('ours', 0)['cpu_s'], 'seed': seed,
        }, f'{row} {seed}: training')
        found['model'] = str(path)
        write_whole(path.with_suffix('.json'), json.dumps(found).encode())
        return found

    def _ask(self, request: dict[str, Any], what: str, planner: TwoRoomPlanner | None = None,
             budget: int = 1) -> dict[str, Any]:
        """Run the program for one request and answer its questions with `planner`."""
        self._told(what, 0.0)
        root = Path(wm_controller.__file__).resolve().parent.parent
        environment = {**os.environ, 'PYTHONPATH': str(root), 'OMP_NUM_THREADS': '1',
                       'STABLEWM_HOME': str(self.settings.folder.resolve() / 'stable-worldmodel')}
        log = self.settings.folder / 'program.log'
        with open(log, 'wb') as errors, subprocess.Popen(
                [str(self._python), '-W', 'ignore', '-m',
                 'wm_controller.evaluation.tworoom_program', json.dumps(request)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                env=environment) as program:
            assert program.stdin is not None and program.stdout is not None
            try:
                while True:
                    message, arrays = receive(program.stdout)
                    if 'result' in message:
                        return dict(message['result'])
                    self._told(what, message.get('done', message.get('step', 0) / budget))
                    if planner is not None and 'step' in message:
                        if 'goal' in arrays:
                            planner.begin(arrays['goal'].copy(), request['first'])
                        action = planner.act(arrays['pixels'].copy(),
                                             arrays['state'].astype(np.float64), arrays['done'])
                        send(program.stdin, {}, {'action': action.astype(np.float32)})
            except EOFError:
                raise InputError(f'{self._python}: {what} failed: {_last_line(log)} (all of it '
                                 f'in {log}); `make tworoom-env` makes the environment '
                                 'anew') from None
            finally:
                program.stdin.close()
                program.terminate()


def _kept(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError):
        return None


def _sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _last_line(path: Path) -> str:
    lines = path.read_text(errors='replace').strip().splitlines()
    return lines[-1].strip() if lines else 'it ended without a word'
