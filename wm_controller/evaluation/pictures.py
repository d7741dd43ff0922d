# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
How near decoded pictures of imagined states come to the frames that came.

Beside three floors: the *mean image* of the data, the *last seen frame*, shown for ever, and the
mean colour of its *bands*, which is about what the decoder is told of it. And whether the encoder
reads a decoded picture as it reads the frame: what counts where the model is the world, and its
pictures are looked at by a controller.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wm_controller.data.windows import Windows
from wm_controller.world_model.decoder import BANDS
from wm_controller.world_model.model import WorldModel

STEPS = (0, 1, 4, 8)
MEAN_OF = 512  # frames that the mean image is made of
RESAMPLES = 1000
NAMES = {'decoded': 'decoded', 'mean': 'mean image', 'bands': 'bands of the last frame',
         'last': 'last seen frame'}


class PictureScore:
    """Errors of pictures at STEPS, batch by batch."""

    def __init__(self, model: WorldModel, mean_image: np.ndarray) -> None:
        """`mean_image` (H, W, 3) RGB, float."""
        assert model.decoder is not None
        self._model, self._decoder = model, model.decoder
        self._mean = mean_image.astype(np.float32)

    @classmethod
    def of(cls, model: WorldModel, windows: Windows, chosen: np.ndarray) -> PictureScore | None:
        """Prepare for these windows; None where the model has no decoder."""
        if model.decoder is None:
            return None
        some = chosen[np.unique(np.linspace(0, len(chosen) - 1, MEAN_OF).astype(int))]
        return cls(model, windows.images(windows.starts[some]).mean(0, dtype=np.float64))

    def rows(self, states: Tensor, frames: np.ndarray, latents: Tensor) -> dict[str, np.ndarray]:
        """Errors (B, len(STEPS)) for states (B, T + 1, S), frames (B, T + 1, H, W, 3) uint8.

        `latents` (B, T + 1, E) are those of the frames.
        """
        steps = list(STEPS)
        drawn = self._decoder.pictures(states[:, steps], torch.from_numpy(frames[:, 0]))
        came = frames[:, steps].astype(np.float32)
        guesses = {'decoded': drawn.numpy().astype(np.float32), 'mean': self._mean,
                   'bands': _bands(frames[:, :1].astype(np.float32)),
                   'last': frames[:, :1].astype(np.float32)}
        found = {}
        for name, guess in guesses.items():
            found[f'{name}_squared'] = ((guess - came) ** 2).mean((2, 3, 4))
            found[f'{name}_absolute'] = np.abs(guess - came).mean((2, 3, 4))
        read = self._model.encode(drawn.flatten(0, 1)).unflatten(0, drawn.shape[:2])
        true = latents[:, steps]
        found['read_error'] = (read - true).pow(2).mean(-1).numpy()
        found['read_still'] = (latents[:, :1] - true).pow(2).mean(-1).numpy()
        return found


def _bands(frames: np.ndarray) -> np.ndarray:
    """Fill each band of frames (..., H, W, 3) with its mean colour."""
    return np.concatenate([np.broadcast_to(band.mean((-3, -2), keepdims=True), band.shape)
                           for band in np.array_split(frames, BANDS, axis=-3)], -3)


def summarise_pictures(rows: Mapping[str, np.ndarray], episode: np.ndarray) -> dict[str, Any]:
    """
    PSNR (dB, of the mean squared error) and mean absolute error (of 255) per step and guess.

    `*_ci95` are bootstrap intervals over episodes (W,). `reread_ratio` is the latent error of
    decoded pictures, read by the encoder, over that of no change.
    """
    groups = [np.flatnonzero(episode == e) for e in np.unique(episode)]
    rng = np.random.default_rng(0)
    draws = [np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))])
             for _ in range(RESAMPLES)]
    result: dict[str, Any] = {}
    for column, step in enumerate(STEPS):
        row: dict[str, Any] = {}
        for key, name in NAMES.items():
            squared, absolute = rows[f'{key}_squared'][:, column], rows[f'{key}_absolute'][
                :, column]
            row[name] = {
                'psnr_db': _psnr(squared), 'l1': round(float(absolute.mean()), 2),
                'psnr_db_ci95': _interval([_psnr(squared[draw]) for draw in draws]),
                'l1_ci95': _interval([float(absolute[draw].mean()) for draw in draws])}
        if step:
            row['reread_ratio'] = round(float(rows['read_error'][:, column].mean() / max(
                rows['read_still'][:, column].mean(), 1e-12)), 4)
        else:
            row['last seen frame'] = None  # it is the frame itself
        result[str(step)] = row
    return {'episodes': len(groups), 'pictures': len(episode), 'steps': result}


def _psnr(squared: np.ndarray) -> float:
    return round(float(10 * np.log10(255.0 ** 2 / max(float(squared.mean()), 1e-9))), 2)


def _interval(values: list[float]) -> list[float]:
    return [round(float(v), 2) for v in np.percentile(values, [2.5, 97.5])]



def psnr_of(one: np.ndarray, other: np.ndarray) -> float:
    """PSNR in dB of two uint8 arrays of pictures of one shape, as one."""
    return _psnr(np.asarray((one.astype(np.float32) - other.astype(np.float32)) ** 2))
