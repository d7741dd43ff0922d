# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A part of a data set as a file of its own."""

from pathlib import Path

from wm_controller.data.dataset import Dataset, DatasetWriter
from wm_controller.data.schema import STEP_COLUMNS
from wm_controller.errors import InputError


def write_part(source: Path, output: Path, episodes: int) -> Path:
    """Write the first `episodes` of a data set to `output`; raises InputError if it has none."""
    if episodes < 1:
        raise InputError(f'{source}: {episodes} episodes are no part: ask for 1 or more')
    with Dataset.open(source) as data:
        last = min(episodes, data.n_episodes) - 1
        return write_rows(data, output, range(data.steps(last).stop))


def write_rows(data: Dataset, output: Path, rows: range) -> Path:
    """Write these steps of a data set to `output`, an episode that they cut in two as its part."""
    names = [name for name in data.extras if name.startswith('ep_')]
    extras = {name: data.column(name) for name in names}
    fov = data.attributes.get('horizontal_fov')
    with DatasetWriter(output, data.rate_hz, bearings=data.bearings,
                       attributes={} if fov is None else {'horizontal_fov': fov}) as writer:
        for episode in range(data.n_episodes):
            whole = data.steps(episode)
            part = slice(max(whole.start, rows.start), min(whole.stop, rows.stop))
            if part.start >= part.stop:
                continue
            columns = {c.name: getattr(data, c.name)[part] for c in STEP_COLUMNS}
            writer.append_episode(**columns, episode_extras={
                name: _plain(extras[name][episode]) for name in names})
    return output


def _plain(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value
