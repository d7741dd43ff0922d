# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The program that runs in the environment of `stable-worldmodel`; see `tworoom.Harness`.

`python -m wm_controller.evaluation.tworoom_program '{"verb": ..., ...}'` collects, evaluates, or
trains a peer; it answers on stdout with messages of `tworoom_pipe`. All rows of the benchmark are
driven by the package's own `World.evaluate`; our planner answers through the pipe.
"""

from collections.abc import Callable
import json
import os
from pathlib import Path
import re
import sys
import time
from typing import Any, IO

import numpy as np

from wm_controller.evaluation.tworoom_pipe import Arrays, receive, send, shrink

ENVIRONMENT = 'swm/TwoRoom-v1'
RENDER_PX = 224
SPEED_PX = 5.0  # pixels of 224 that an action of 1 moves the agent along each axis
COLUMNS = ['pixels', 'action', 'proprio', 'state']
# The package's own way to put an episode's start and goal into its environment.
PLACING = [{'method': '_set_state', 'args': {'state': {'value': 'state'}}},
           {'method': '_set_goal_state', 'args': {'goal_state': {'value': 'goal_state'}}}]


def main() -> None:
    """Carry out the one request of the command line."""
    request = json.loads(sys.argv[1])
    # What libraries print must not come between our messages.
    answer = os.fdopen(os.dup(1), 'wb')
    os.dup2(2, 1)
    _prepare(request.get('threads', 1))
    verbs: dict[str, Callable[..., dict[str, Any]]] = {
        'collect': _collect, 'evaluate': _evaluate, 'train': _train}
    send(answer, {'result': verbs[request.pop('verb')](answer, **request)})


def _prepare(threads: int) -> None:
    """Import torchvision also where its compiled operators are made for another torch.

    PyPI has it for the GPU build alone; beside a CPU build of torch its operators do not load and
    importing it fails at the first it describes. Nothing here uses them: their names will do.
    """
    import torch
    torch.set_num_threads(threads)
    library = torch.library.Library('torchvision', 'FRAGMENT')
    for _ in range(8):
        try:
            import torchvision  # noqa: F401
            break
        except RuntimeError as error:
            missing = re.search(r'operator torchvision::(\w+) does not exist', str(error))
            if missing is None:
                raise
            library.define(f'{missing.group(1)}(Tensor boxes, Tensor scores, float overlap) '
                           '-> Tensor')
            for name in [name for name in sys.modules if name.split('.')[0] == 'torchvision']:
                del sys.modules[name]
    globals()['_keep'] = library  # its definitions live as long as it does


def _world(count: int, steps: int) -> Any:
    import stable_worldmodel as swm
    return swm.World(ENVIRONMENT, num_envs=count, image_shape=(RENDER_PX, RENDER_PX),
                     max_episode_steps=steps, render_mode='rgb_array')


def _collect(answer: IO[bytes], path: str, episodes: int, seed: int, max_steps: int,
             action_noise: float, repeat_probability: float) -> dict[str, Any]:
    from stable_worldmodel.envs.two_room import ExpertPolicy
    # Written aside, then renamed: a stopped run leaves nothing that looks whole.
    part = Path(f'{path}.part')
    part.unlink(missing_ok=True)
    world = _world(10, max_steps)
    world.set_policy(ExpertPolicy(action_noise=action_noise,
                                  action_repeat_prob=repeat_probability, seed=seed))
    world.collect(part, episodes=episodes, seed=seed * 1_000_000, format='hdf5', progress=False)
    part.rename(path)
    return {'path': path}


def _evaluate(answer: IO[bytes], data: str, offset: int, budget: int, episodes: int, seed: int,
              first: int, count: int, policy: dict[str, Any]) -> dict[str, Any]:
    """Drive `count` from the `first` on of the `episodes` that are drawn."""
    dataset = _ends(data)
    part = slice(first, first + count)
    chosen, starts = (drawn[part] for drawn in choose_starts(dataset.lengths, offset, episodes,
                                                             seed))
    world = _world(len(chosen), 2 * budget)
    driver = _policy(answer, policy, seed + 1000 * first)
    world.set_policy(driver)
    begun = time.process_time()
    result = world.evaluate(dataset=dataset, episodes_idx=chosen.tolist(),
                            start_steps=starts.tolist(), goal_offset=offset, eval_budget=budget,
                            callables=PLACING)
    return {'successes': [bool(x) for x in result['episode_successes']],
            'episode': chosen.tolist(), 'start': starts.tolist(),
            'plan_cpu_s': getattr(driver, 'plan_cpu_s', []),
            'cpu_s': time.process_time() - begun}


def choose_starts(lengths: Any, offset: int, count: int, seed: int) -> tuple[Any, Any]:
    """Draw episodes and first steps (count,) with a goal `offset` steps on, as the package does.

    Every step that has such a goal is as likely as any other; none is drawn twice. Raises
    ValueError where there are fewer than `count`.
    """
    room = np.maximum(np.asarray(lengths, dtype=np.int64) - offset, 0)
    if room.sum() < count:
        raise ValueError(f'the data have {int(room.sum())} steps with a goal {offset} steps on; '
                         f'{count} are asked for')
    rng = np.random.default_rng([seed, offset])
    drawn = np.sort(rng.choice(int(room.sum()), size=count, replace=False))
    episode = np.searchsorted(np.cumsum(room), drawn, side='right')
    return episode, drawn - (np.cumsum(room) - room)[episode]


def _ends(path: str) -> Any:
    from stable_worldmodel.data.formats.hdf5 import HDF5Dataset

    class Ends(HDF5Dataset):
        """Reads the first and the last step of a chunk alone: no more is used, 3 GB are saved."""

        def load_chunk(self, episodes_idx: Any, start: Any, end: Any) -> list[dict[str, Any]]:
            import torch
            found = []
            for episode, first, behind in zip(episodes_idx, start, end):
                parts = [self._load_slice(episode, step, step + 1) for step in (first, behind - 1)]
                found.append({name: torch.cat([part[name] for part in parts])
                              for name in parts[0]})
            return found

    return Ends(path=path, keys_to_load=COLUMNS)


def _policy(answer: IO[bytes], policy: dict[str, Any], seed: int) -> Any:
    from stable_worldmodel.envs.two_room import ExpertPolicy
    from stable_worldmodel.policy import BasePolicy, RandomPolicy

    class Straight(BasePolicy):  # type: ignore[misc]
        """Straight at the goal's true position, at full speed."""

        def get_action(self, info_dict: dict[str, Any], **_: Any) -> Any:
            way = np.asarray(info_dict['goal_state'] - info_dict['state'])[:, 0]
            return np.clip(way / SPEED_PX, -1, 1).astype(np.float32)

    class Remote(BasePolicy):  # type: ignore[misc]
        """Asks the other side of the pipe, with pictures and (for odometry) positions."""

        asked = 0

        def get_action(self, info_dict: dict[str, Any], **_: Any) -> Any:
            done = np.asarray(info_dict['terminated'], dtype=bool).reshape(-1)
            frames: Arrays = {'pixels': shrink(info_dict['pixels'][:, 0]),
                              'state': np.asarray(info_dict['state'])[:, 0].astype('f4'),
                              'done': done}
            if self.asked == 0:
                frames['goal'] = shrink(info_dict['goal'][:, 0])
            send(answer, {'step': self.asked}, frames)
            self.asked += 1
            return receive(sys.stdin.buffer)[1]['action']

    name = policy['name']
    if name in ('lewm', 'pldm'):
        from wm_controller.evaluation.tworoom_peers import peer_policy
        return peer_policy(policy, seed)
    makers = {'random': lambda: RandomPolicy(seed=seed), 'straight': Straight, 'remote': Remote,
              'expert': lambda: ExpertPolicy(seed=seed)}
    return makers[name]()


def _train(answer: IO[bytes], **request: Any) -> dict[str, Any]:
    from wm_controller.evaluation.tworoom_peers import train_peer
    return train_peer(answer, **request)


if __name__ == '__main__':
    main()
