# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What there is to know of a data set at a glance: counts, rates, gaps, histograms, pictures."""

from collections.abc import Callable
import json
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wm_controller.data.dataset import Dataset

Report = dict[str, Any]

BINS = 20
STILL_M_S, STILL_RAD_S = 0.02, 0.05
LATE = 0.25
"""A step this much longer or shorter than the period counts as uneven."""


def summarise(data: Dataset, verify: bool = True,
              progress: Callable[[float], Any] | None = None) -> Report:
    """Describe a data set; with `verify` the digest is computed and compared, from all rows."""
    action, proprio = data.action.astype(np.float64), data.proprio.astype(np.float64)
    columns = {name: data.column(name) for name in ('proprio', 'pose', 'clearance')}
    with np.errstate(invalid='ignore'):
        nearest = _row_minimum(data.clearance)
    report: Report = {
        'kind': 'dataset', 'path': str(data.path), 'file_bytes': data.path.stat().st_size,
        'schema': str(data.attributes['schema']), 'rate_hz': data.rate_hz,
        'step_period_s': data.step_period_s, 'image_size': list(data.image_size),
        'episodes': data.n_episodes, 'steps': data.n_steps,
        'duration_s': data.n_steps * data.step_period_s,
        'digest': data.digest, 'digest_verified': None,
        'sources': _json(data.attributes.get('sources'), []),
        'command': str(data.attributes.get('command', '')),
        'action_source': data.attributes.get('action_source'),
        'clearance_bearings_deg': np.rad2deg(data.bearings).round(2).tolist(),
        'extra_columns': list(data.extras),
        'episode_steps': {**_spread(data.ep_len), 'histogram': _histogram(data.ep_len)},
        'timing': _timing(data),
        'nan_share': {name: float(np.isnan(values).mean()) for name, values in columns.items()},
        'still_share': float(((np.abs(action[:, 0]) < STILL_M_S)
                              & (np.abs(action[:, 1]) < STILL_RAD_S)).mean()),
        'reverse_share': float((action[:, 0] < -STILL_M_S).mean()),
        'histograms': {name: _histogram(values) for name, values in (
            ('action v, m/s', action[:, 0]), ('action w, rad/s', action[:, 1]),
            ('measured v, m/s', proprio[:, 3]), ('measured w, rad/s', proprio[:, 4]),
            ('nearest clearance, m', nearest)) if np.isfinite(values).any()},
        'distance_m': _distance(data), 'pixels': _pixels(data)}
    ingested = _json(data.attributes.get('ingest_report'), None)
    if ingested:
        report['ingested'] = [{key: bag.get(key) for key in (
            'path', 'frames', 'camera_hz', 'dropped', 'ended_by', 'lag', 'notes')}
            for bag in ingested]
    if verify and data.attributes.get('digest'):
        report['digest_verified'] = data.computed_digest(progress) == data.digest
    return report


def contact_sheet(data: Dataset, rows: int = 6, per_row: int = 8, width: int = 160
                  ) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: a row an episode, frames spread over it, with time and action below."""
    count = min(rows, data.n_episodes)
    episodes = np.unique(np.linspace(0, data.n_episodes - 1, count).round().astype(int))
    height = max(round(width * data.image_size[1] / data.image_size[0]), 1)
    caption, margin = 16, 3
    cell_h, cell_w = height + caption + margin, width + margin
    sheet = np.full((cell_h * episodes.size + margin, cell_w * per_row + margin, 3), 255, np.uint8)
    for row, episode in enumerate(episodes):
        steps = data.steps(int(episode))
        chosen = np.unique(np.linspace(steps.start, steps.stop - 1, per_row).round().astype(int))
        for column, step in enumerate(chosen):
            top, left = margin + row * cell_h, margin + column * cell_w
            sheet[top:top + height, left:left + width] = cv2.resize(
                data.pixels[step], (width, height), interpolation=cv2.INTER_NEAREST)
            seconds = data.stamp[step] - data.stamp[steps.start]
            v, w = data.action[step]
            cv2.putText(sheet, f'{episode}: {seconds:.1f}s {v:+.2f} {w:+.2f}',
                        (left, top + height + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (60, 66, 76), 1,
                        cv2.LINE_AA)
    return sheet


def _timing(data: Dataset) -> Report:
    """Step periods inside episodes, and pauses between those that follow each other."""
    inside = np.ones(max(data.n_steps - 1, 0), dtype=bool)
    inside[data.ep_offset[1:] - 1] = False
    between = np.diff(data.stamp)
    periods, pauses = between[inside], between[~inside]
    for name in ('ep_source', 'ep_room'):  # other recordings and rooms have other clocks
        if name in data.extras:
            owner = data.column(name)
            pauses = pauses[owner[1:] == owner[:-1]]
            break
    pauses = pauses[pauses > 0]
    uneven = np.abs(periods - data.step_period_s) > LATE * data.step_period_s
    return {'step_s': _spread(periods),
            'uneven_share': float(uneven.mean()) if periods.size else 0.0,
            'pauses': int(pauses.size),
            'longest_pause_s': float(pauses.max()) if pauses.size else None}


def _distance(data: Dataset) -> float | None:
    if not np.isfinite(data.proprio[:, :2]).any():
        return None
    return float(np.nansum(np.hypot(data.proprio[:, 0], data.proprio[:, 1])))


def _pixels(data: Dataset, sampled: int = 128) -> Report:
    """Brightness and contrast of frames spread over the file, and how many repeat the one before.

    A camera that hangs, a covered lens and a picture in one colour show here.
    """
    rows = np.unique(np.linspace(0, data.n_steps - 1, sampled).round().astype(int))
    mean, contrast, repeated, pairs = [], [], 0, 0
    starts = set(data.ep_offset.tolist())
    for row in rows:
        frame = data.pixels[row]
        mean.append(frame.reshape(-1, 3).mean(axis=0))
        contrast.append(float(frame.std()))
        if int(row) not in starts:
            pairs += 1
            repeated += bool(np.array_equal(frame, data.pixels[row - 1]))
    return {'sampled': int(rows.size), 'mean_rgb': np.mean(mean, axis=0).round(1).tolist(),
            'contrast': _spread(np.array(contrast)),
            'flat_share': float((np.array(contrast) < 2.0).mean()),
            'repeated_share': repeated / pairs if pairs else 0.0}


def _histogram(values: NDArray[Any]) -> Report:
    values = np.asarray(values, dtype=np.float64)
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(values, bins=BINS, range=(low, high))
    return {'counts': counts.tolist(), 'low': float(edges[0]), 'high': float(edges[-1]),
            **_spread(values)}


def _spread(values: NDArray[Any]) -> Report:
    if values.size == 0:
        return {}
    return {'min': float(values.min()), 'median': float(np.median(values)),
            'mean': float(values.mean()), 'max': float(values.max())}


def _row_minimum(values: NDArray[np.float32]) -> NDArray[np.float64]:
    known = np.where(np.isnan(values), np.inf, values).min(axis=1).astype(np.float64)
    return np.where(np.isinf(known), np.nan, known)


def _json(text: Any, default: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return default
