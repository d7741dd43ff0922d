# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What the diffusion policy learns from: drives as frozen eyes see them, encoded once, and goals.

Goals are taken in hindsight: what the same drive came to some steps later, rather by a direct way.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open, SafetensorError
from safetensors.torch import save
import torch

from wm_controller.data.dataset import Dataset
from wm_controller.errors import InputError
from wm_controller.evaluation.diffusion import Eyes
from wm_controller.files import write_whole
from wm_controller.safety.geometry import relative, wrap_angle
from wm_controller.world_model.bundle import Bundle
from wm_controller.world_model.precision import bfloat16_pays

KEY = 'wm_controller_drives_seen'
PAIRS_PER_FRAME = 0.5  # comparisons with a goal picture
STRANGE_SHARE = 0.12  # of them with a picture of another drive: it shows nothing that is here
PICTURE_M, PICTURE_STEPS = 4.0, 75  # goal pictures are no further away
PLACE_M, PLACE_STEPS = 9.0, 150  # nor are places
IN_SIGHT, IN_SIGHT_SHARE = 0.8, 0.8  # rad; so many pictures show, if they can, what is in view
FULL_SPEED_M = 0.1  # in a step
DRAWS = 24  # rows that a goal is chosen from
DETOUR = 0.7  # m of distance missed that one of detour is worth
ENCODED_AT_ONCE = 128


@dataclass(frozen=True)
class Ways:
    """Where N frames of drives were, and what was commanded: all but the pictures.

    `action` (N, 2), `pose` (N, 3), `driven` (N,) m since the first frame of all; `first` and
    `stop` (N,): rows of the drive; `drive` (N,): which it is.
    """

    action: NDArray[np.float32]
    pose: NDArray[np.float64]
    driven: NDArray[np.float64]
    first: NDArray[np.int64]
    stop: NDArray[np.int64]
    drive: NDArray[np.int64]
    touched: NDArray[np.bool_]

    @classmethod
    def of(cls, datasets: Sequence[Dataset]) -> 'Ways':
        """Read the columns of all data sets, behind one another."""
        length = np.concatenate([data.ep_len for data in datasets])
        stop = np.cumsum(length)
        pose = np.concatenate([data.pose for data in datasets])
        moved = np.hypot(*np.diff(pose[:, :2], axis=0, prepend=pose[:1, :2]).T)
        touched = [data.column('contact') if 'contact' in data.extras
                   else np.zeros(data.n_steps, bool) for data in datasets]
        return cls(np.concatenate([data.action for data in datasets]), pose,
                   np.cumsum(np.nan_to_num(moved)), np.repeat(stop - length, length),
                   np.repeat(stop, length), np.repeat(np.arange(len(length)), length),
                   np.concatenate(touched))

    def lessons(self, chunk: int) -> NDArray[np.int64]:
        """Rows from which `chunk` commands are known and touched nothing."""
        bad = self.touched | ~np.isfinite(self.action).all(1) | ~np.isfinite(self.pose).all(1)
        count = np.concatenate([[0], np.cumsum(bad)])
        rows = np.flatnonzero(np.arange(len(bad)) + chunk < self.stop)
        return rows[count[rows + chunk] == count[rows]]

    def worth(self, here: NDArray[np.int64], goal: NDArray[np.int64]) -> NDArray[np.float64]:
        """How much is to be learned (B,) from drives to goals: much where they were fast.

        Most drives in the data dawdle at times; a policy that clones all of them alike stands.
        """
        speed = (self.driven[goal] - self.driven[here]) / np.maximum(goal - here, 1)
        return np.asarray(np.clip(speed / FULL_SPEED_M, 0.05, 1.0) ** 2)

    def goals(self, here: NDArray[np.int64], most_m: float, most_steps: int,
              rng: np.random.Generator, in_sight: float = 0.0) -> NDArray[np.int64]:
        """Rows (B,) that the drive came to after `here` (B,): all distances to `most_m` alike.

        Of those at the distance drawn, the one with the least detour; for a share `in_sight`
        rather one in the view.
        """
        left = np.minimum(self.stop[here] - 1 - here, most_steps)[:, None]
        there = here[:, None] + np.ceil(rng.random((len(here), DRAWS)) * left).astype(np.int64)
        seen = relative(self.pose[here][:, None], self.pose[there])
        direct = np.hypot(seen[..., 0], seen[..., 1])
        detour = self.driven[there] - self.driven[here][:, None] - direct
        miss = np.abs(direct - rng.uniform(0, most_m, (len(here), 1))) + DETOUR * detour
        hidden = (np.abs(np.arctan2(seen[..., 1], seen[..., 0])) > IN_SIGHT) | (
            np.abs(wrap_angle(seen[..., 2])) > IN_SIGHT)
        miss[hidden & (rng.random((len(here), 1)) < in_sight)] += most_m
        return np.asarray(there[np.arange(len(here)), miss.argmin(1)])


@dataclass(frozen=True)
class Seen:
    """Drives as the eyes see them: N frames of E numbers, as they are and in a mirror, M pairs.

    `latents` (2, N, E) half; pairs of a frame `here` (M,) and a goal picture, row `goal` (M,) of
    the same drive or -1 where it is of another one, `mirrored` (M,), and what comparing them
    gives, `compared` (M, F) half.
    """

    latents: torch.Tensor
    here: torch.Tensor
    goal: torch.Tensor
    mirrored: torch.Tensor
    compared: torch.Tensor


def seen_by(bundle: Bundle, datasets: Sequence[Dataset], ways: Ways, chunk: int, seed: int,
            path: Path, progress: Callable[[float], Any]) -> Seen:
    """Read what `path` holds, or encode with the eyes of a bundle and write it there.

    `progress(share)`, 0..1, while it is made. Raises InputError where it is of other data or eyes.
    """
    names = tuple(each.name for each in fields(Seen))
    identity = {'eyes': bundle.digest, 'data': [data.digest for data in datasets], 'seed': seed,
                'chunk': chunk, 'drawn': [PAIRS_PER_FRAME, STRANGE_SHARE, PICTURE_M, PICTURE_STEPS,
                                          IN_SIGHT, IN_SIGHT_SHARE, DRAWS, DETOUR]}
    if path.exists():
        try:
            with safe_open(path, framework='pt') as file:
                if json.loads((file.metadata() or {}).get(KEY, 'null')) != identity:
                    raise InputError(f'{path}: not made of these data with these eyes; name '
                                     'another file with --features, or delete it')
                return Seen(**{name: file.get_tensor(name) for name in names})
        except (OSError, SafetensorError) as error:
            raise InputError(f'{path}: not what drives look like to a rival ({error}); delete '
                             'it') from error
    seen = _encode(Eyes.of(bundle), datasets, ways, chunk, seed, progress)
    write_whole(path, save({name: getattr(seen, name) for name in names},
                           {KEY: json.dumps(identity)}), make_folder=True)
    return seen


@torch.no_grad()
def _encode(eyes: Eyes, datasets: Sequence[Dataset], ways: Ways, chunk: int, seed: int,
            progress: Callable[[float], Any]) -> Seen:
    """One pass over the files, drive by drive: nothing but a drive's pictures is in memory."""
    latents: list[torch.Tensor] = []
    pairs: list[tuple[torch.Tensor, ...]] = []
    strange: deque[torch.Tensor] = deque(maxlen=4)  # pictures of drives before, of other rooms
    lesson = np.zeros(len(ways.stop), bool)
    lesson[ways.lessons(chunk)] = True
    first = 0
    for data in datasets:
        for episode in range(data.n_episodes):
            steps = data.steps(episode)
            begin, end = first + steps.start, first + steps.stop
            rng = np.random.default_rng([seed, 59, begin])
            pixels = torch.from_numpy(data.pixels[steps])
            latents.append(torch.stack([_quickly(eyes.see, each) for each in (
                pixels, pixels.flip(2))]))
            rows = begin + np.flatnonzero(lesson[begin:end])
            if len(rows):
                here = rng.choice(rows, max(1, round(PAIRS_PER_FRAME * len(rows))))
                pairs.append(_pairs(eyes, pixels, begin, here, ways, strange, rng))
            strange.append(pixels[rng.integers(len(pixels), size=24)])
            progress(end / len(ways.stop))
        first += data.n_steps
    if not pairs:
        raise InputError(f'{datasets[0].path}: no {chunk} commands in a row with odometry: a '
                         'policy has nothing to learn from')
    return Seen(torch.cat(latents, 1), *(torch.cat(each) for each in zip(*pairs)))


def _pairs(eyes: Eyes, pixels: torch.Tensor, begin: int, here: NDArray[np.int64], ways: Ways,
           strange: deque[torch.Tensor], rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """Compare frames of one drive, rows `here` (M,), with goal pictures."""
    there = ways.goals(here, PICTURE_M, PICTURE_STEPS, rng, IN_SIGHT_SHARE)
    pictures = pixels[there - begin]
    goal = torch.from_numpy(there)
    if strange:
        which = torch.from_numpy(rng.random(len(here)) < STRANGE_SHARE)
        pictures[which] = strange[0][torch.from_numpy(
            rng.integers(len(strange[0]), size=int(which.sum())))]
        goal[which] = -1
    views, mirrored = pixels[here - begin], torch.from_numpy(rng.random(len(here)) < 0.5)
    for images in (views, pictures):
        images[mirrored] = images[mirrored].flip(2)
    return torch.from_numpy(here), goal, mirrored, _quickly(eyes.compare, views, pictures)


def _quickly(function: Callable[..., torch.Tensor], *images: torch.Tensor) -> torch.Tensor:
    """Apply to images in batches that fit the caches, in bfloat16 where that pays; half."""
    with torch.autocast('cpu', torch.bfloat16, enabled=bfloat16_pays()):
        found = [function(*part) for part in zip(*(each.split(ENCODED_AT_ONCE)
                                                   for each in images))]
    return torch.cat(found).half()
