# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Hiding the labels of a data set: only a share of it keeps commands, odometry and scan."""

import numpy as np
from numpy.typing import NDArray

from wm_controller.data.windows import Windows
from wm_controller.errors import InputError

LABELS = ('action', 'proprio', 'pose', 'clearance')
STRETCH = 2  # windows: what is labelled at a stretch, as one drives a robot for a moment


def labelled_rows(windows: Windows, share: float, seed: int) -> NDArray[np.bool_]:
    """Mark a share (0..1) of the rows (N,) that windows use, in whole stretches of driving.

    Stretches are drawn at random; at least one is marked where the share is not 0. Raises
    InputError where the share is not one.
    """
    if not 0 <= share <= 1:
        raise InputError(f'the share of labels must be between 0 and 1, not {share:g}')
    used = windows.used_rows()
    if share == 1:
        return used
    marked = np.zeros_like(used)
    target, length = share * int(used.sum()), STRETCH * windows.length
    starts = np.random.default_rng([seed, 11]).permutation(windows.starts)
    ends = {int(last) for _, last in windows.episode_rows}
    for start in starts:
        if marked.sum() >= target:
            break
        end = min([last for last in ends if last > start], default=int(start) + length)
        stop = min(start + length, end, len(used))
        # The last stretch is as short as a window allows, so that the share is met.
        stop = min(stop, start + max(windows.length, int(round(target - marked.sum()))))
        if not marked[start:stop].any() and used[start:stop].all():
            marked[start:stop] = True
    return marked


def keep(windows: Windows, share: float, seed: int, video: bool) -> Windows:
    """Return the windows with labels on a share of their steps.

    With `video` the rest stays as frames without labels. Without it the rest is left out, and
    a share of 0 is a model without actions: every frame, and nothing ever commanded.
    """
    if share == 1:
        return windows
    marked = labelled_rows(windows, share, seed)
    if video:
        return hide(windows, marked)
    if share == 0:
        hidden = hide(windows, marked)
        return hidden.with_columns({'action': np.zeros_like(windows.column('action'))})
    return windows.within(marked)


def hide(windows: Windows, keep: NDArray[np.bool_]) -> Windows:
    """Return the windows as if all but the rows in `keep` (N,) were a video: labels NaN."""
    columns = {}
    for name in LABELS:
        values = windows.column(name).copy()
        values[~keep] = np.nan
        columns[name] = values
    return windows.with_columns(columns)
