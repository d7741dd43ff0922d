# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The folder of a LeRobot data set: its files, and what our columns are called there."""

from collections.abc import Mapping
import json
from pathlib import Path
import re
from typing import Any

from wm_controller.data import schema
from wm_controller.data.foreign import SPEEDS
from wm_controller.errors import InputError

VERSION = 'v3.0'
INFO = 'meta/info.json'
STATS = 'meta/stats.json'
TASKS = 'meta/tasks.parquet'
OURS = 'meta/wm_controller.json'
"""What LeRobot has no place for; its readers leave it alone."""
CHUNK = 'chunk-{chunk_index:03d}/file-{file_index:03d}'
DATA = f'data/{CHUNK}.parquet'
VIDEO = f'videos/{{video_key}}/{CHUNK}.mp4'
EPISODES = f'meta/episodes/{CHUNK}.parquet'
CHUNK_FILES = 1000
DATA_FILE_MB, VIDEO_FILE_MB = 100, 200
LARGEST_JSON = 16 << 20

IMAGE = 'observation.images.front'
EXTRA = 'extra.'
"""Further columns of ours, by their names behind this."""
FEATURES: Mapping[str, tuple[str, tuple[str, ...] | None]] = {
    'action': ('action', SPEEDS),
    'proprio': ('observation.state', ('dx', 'dy', 'dyaw', *SPEEDS)),
    'pose': ('observation.pose', ('x', 'y', 'yaw')),
    'stamp': ('observation.stamp', None),
    'clearance': ('observation.clearance', None),
}
"""Our column: LeRobot's feature, and the names of its numbers."""
COUNTERS = ('timestamp', 'frame_index', 'episode_index', 'index', 'task_index')
UNITS = {column.name: column.meaning for column in schema.STEP_COLUMNS}

_FIELD = re.compile(r'\{(\w+)(?::0?(\d{1,2})d)?\}')


def read_json(path: Path) -> Any:
    """Content of a small JSON file; raises InputError that names it."""
    try:
        with path.open('rb') as stream:
            data = stream.read(LARGEST_JSON + 1)
    except OSError as error:
        raise InputError(f'{path}: cannot be read: {error.strerror}') from error
    if len(data) > LARGEST_JSON:
        raise InputError(f'{path}: is larger than {LARGEST_JSON >> 20} MB, no description of a '
                         'data set')
    try:
        return json.loads(data)
    except ValueError as error:
        raise InputError(f'{path}: is not JSON ({error}); download it again') from error


def place(root: Path, template: Any, **values: Any) -> Path:
    """File that a template of info.json names, inside `root`.

    `str.format` would let the template reach into objects, and `..` out of the folder.
    """
    def fill(found: re.Match[str]) -> str:
        name, width = found.groups()
        if name not in values:
            raise InputError(f'{root / INFO}: path {template!r} has an unknown field {name}')
        return f'{values[name]:0{width}d}' if width else str(values[name])

    if not isinstance(template, str):
        raise InputError(f'{root / INFO}: names no path of its data')
    path = (root / _FIELD.sub(fill, template)).resolve()
    if not path.is_relative_to(root.resolve()):
        raise InputError(f'{root / INFO}: path {template!r} leads out of the data set')
    return path
