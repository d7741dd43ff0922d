# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""LeRobot data sets, layouts v2.0, v2.1 and v3.0: parquet, mp4 and meta/info.json."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
import io
from itertools import groupby
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
import pyarrow as pa
import pyarrow.parquet as pq

from wm_controller.data import lerobot_layout as layout
from wm_controller.data import schema
from wm_controller.data.foreign import Rows
from wm_controller.data.images import fit
from wm_controller.data.video_frames import LARGEST_PIXELS, VideoFrames
from wm_controller.errors import InputError

BATCH_ROWS = 64
NUMBERS = ('float16', 'float32', 'float64', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16',
           'uint32', 'uint64', 'bool')


@dataclass(frozen=True)
class _Episode:
    number: int
    length: int
    data: Path
    video: Path | None = None
    starts_s: float = 0.0
    """Of its first frame, in the video file."""


class LeRobotSource:
    """A `foreign.Source`; `image` names the camera's feature where there are several."""

    def __init__(self, path: str | Path, image: str | None = None) -> None:
        self.path = Path(path)
        info = layout.read_json(self.path / layout.INFO)
        try:
            self._major = int(str(info['codebase_version']).lstrip('v').split('.')[0])
            self.rate_hz = float(info['fps'])
            self._features: dict[str, Any] = dict(info['features'])
            self.n_steps = int(info['total_frames'])
            if not (np.isfinite(self.rate_hz) and self.rate_hz > 0):
                raise ValueError(f'fps {self.rate_hz}')
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f'{self.path / layout.INFO}: is not the description of a LeRobot '
                             f'data set ({type(error).__name__}: {error})') from error
        if self._major not in (2, 3):
            raise InputError(f"{self.path}: layout {info['codebase_version']}; v2.0 to v3.0 are "
                             "read: convert it with LeRobot's own scripts")
        self._info = info
        self._image = self._camera(image)
        self._video = self._features[self._image]['dtype'] == 'video'
        own = self.path / layout.OURS
        self.ours = own.is_file()
        about = layout.read_json(own) if self.ours else {}
        self._once: Mapping[str, Sequence[Any]] = about.get('episode_columns', {})
        self.attributes = dict(about.get('attributes', {}))
        self.bearings = np.asarray(
            about.get('clearance_bearings', schema.CLEARANCE_BEARINGS), dtype=np.float64)
        self._columns = self._wanted()
        self.names = {ours: _names(self._features[theirs])
                      for theirs, ours in self._columns.items()}

    def episodes(self, stride: int, size: tuple[int, int] | None) -> Iterator[tuple[Rows, Rows]]:
        """Yield (columns, values of the episode), as `foreign.Source` says."""
        listed = self._episodes_v3() if self._major == 3 else self._episodes_v2()
        for data, group in groupby(listed, key=lambda e: e.data):
            yield from self._read(data, list(group), stride, size)

    def _camera(self, wanted: str | None) -> str:
        def depth(feature: Mapping[str, Any]) -> bool:
            about = {**(feature.get('video_info') or {}), **(feature.get('info') or {})}
            return bool(about.get('is_depth_map') or about.get('video.is_depth_map'))

        cameras = [name for name, feature in self._features.items()
                   if feature.get('dtype') in ('video', 'image') and not depth(feature)]
        if wanted is None and len(cameras) == 1:
            return cameras[0]
        if wanted in cameras:
            return str(wanted)
        what = f'no camera {wanted!r}' if wanted else f'{len(cameras)} cameras'
        raise InputError(f'{self.path}: {what}; name one with --image: '
                         f'{", ".join(cameras) or "it has none, so nothing to learn from"}')

    def _wanted(self) -> dict[str, str]:
        """Their feature of numbers: its name for us."""
        numbers = [name for name, feature in self._features.items()
                   if feature.get('dtype') in NUMBERS and name not in layout.COUNTERS]
        if not self.ours:
            return {name: name for name in numbers}
        known = {theirs: ours for ours, (theirs, _) in layout.FEATURES.items()}
        return {name: known.get(name) or name.removeprefix(layout.EXTRA) for name in numbers}

    def _episodes_v2(self) -> Iterator[_Episode]:
        listing = self.path / 'meta/episodes.jsonl'
        chunk = max(int(self._info.get('chunks_size', layout.CHUNK_FILES)), 1)
        number = 0
        try:
            with listing.open('rb') as lines:
                for line in iter(lambda: lines.readline(1 << 20), b''):
                    number += 1
                    about = json.loads(line)
                    episode, length = int(about['episode_index']), int(about['length'])
                    where = {'episode_chunk': episode // chunk, 'episode_index': episode,
                             'video_key': self._image}
                    yield _Episode(
                        episode, length, layout.place(self.path, self._info.get('data_path'),
                                                      **where),
                        layout.place(self.path, self._info.get('video_path'), **where)
                        if self._video else None)
        except OSError as error:
            raise InputError(f'{listing}: cannot be read: {error.strerror}') from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f'{listing}: line {number} describes no episode '
                             f'({type(error).__name__})') from error

    def _episodes_v3(self) -> Iterator[_Episode]:
        video = f'videos/{self._image}/'
        names = ['episode_index', 'length', 'data/chunk_index', 'data/file_index']
        if self._video:
            names += [f'{video}chunk_index', f'{video}file_index', f'{video}from_timestamp']
        files = sorted(self.path.glob('meta/episodes/*/*.parquet'))
        if not files:
            raise InputError(f'{self.path}: has no meta/episodes; download it again')
        for file in files:
            for batch in _batches(file, names, 1024):
                for row in batch.to_pylist():
                    data = layout.place(self.path, self._info.get('data_path'),
                                        chunk_index=row['data/chunk_index'],
                                        file_index=row['data/file_index'])
                    mp4 = layout.place(
                        self.path, self._info.get('video_path'), video_key=self._image,
                        chunk_index=row[f'{video}chunk_index'],
                        file_index=row[f'{video}file_index']) if self._video else None
                    yield _Episode(row['episode_index'], row['length'], data, mp4,
                                   row[f'{video}from_timestamp'] if self._video else 0.0)

    def _read(self, data: Path, episodes: Sequence[_Episode], stride: int,
              size: tuple[int, int] | None) -> Iterator[tuple[Rows, Rows]]:
        """Episodes of one parquet file, in its order."""
        names = ['episode_index', *self._columns, *([] if self._video else [self._image])]
        rows = (row for batch in _batches(data, names, BATCH_ROWS) for row in _rows(batch))
        by_episode = groupby(rows, key=lambda row: int(row['episode_index']))
        frames: VideoFrames | None = None
        open_file: Path | None = None
        position_s = 0.0
        try:
            for episode in episodes:
                number, group = next(by_episode, (None, iter(())))
                if number != episode.number:
                    raise InputError(f'{data}: has episode {number} where meta lists '
                                     f'{episode.number}; download it again')
                pictures: list[NDArray[np.uint8]] = []
                numbers: dict[str, list[Any]] = {name: [] for name in self._columns}
                if episode.video is not None and (
                        episode.video != open_file or episode.starts_s < position_s):
                    if frames is not None:
                        frames.close()
                    frames, open_file = VideoFrames(episode.video, self.rate_hz), episode.video
                count = 0
                for count, row in enumerate(group, start=1):
                    for name in self._columns:
                        numbers[name].append(row[name])
                    if (count - 1) % stride == 0:
                        position_s = episode.starts_s + (count - 1) / self.rate_hz
                        picture = (frames.at(position_s) if frames is not None
                                   else _picture(row[self._image], data))
                        pictures.append(picture if size is None else fit(picture, size))
                if count != episode.length:
                    raise InputError(f'{data}: episode {number} has {count} rows, meta says '
                                     f'{episode.length}; download it again')
                yield self._episode(episode.number, pictures, numbers)
        finally:
            if frames is not None:
                frames.close()

    def _episode(self, number: int, pictures: list[NDArray[np.uint8]],
                 numbers: dict[str, list[Any]]) -> tuple[Rows, Rows]:
        columns: Rows = {'pixels': np.stack(pictures)}
        count = 0
        for theirs, ours in self._columns.items():
            shape = tuple(int(n) for n in self._features[theirs].get('shape') or (1,))
            columns[ours] = np.asarray(numbers[theirs], dtype=self._features[theirs]['dtype'])
            count = len(columns[ours])
            # one number a row is a scalar there: shape (1,) in the description alone
            columns[ours] = columns[ours].reshape(count, *(shape if shape != (1,) else ()))
        if not self.ours or 'stamp' not in columns:
            count = count or len(pictures)
            columns['stamp'] = np.arange(count) / self.rate_hz
        return columns, {name: values[number] for name, values in self._once.items()}


def _names(feature: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of a feature's numbers; positions where it has none. Some nest them in a mapping."""
    names = feature.get('names')
    while isinstance(names, Mapping) and names:
        names = next(iter(names.values())) if not all(
            isinstance(value, (int, type(None))) for value in names.values()) else list(names)
    count = int(np.prod([int(n) for n in feature.get('shape') or (1,)]))
    if isinstance(names, Sequence) and not isinstance(names, str) and len(names) == count:
        return tuple(map(str, names))
    return tuple(map(str, range(count)))


def _batches(file: Path, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(file) as opened:
            missing = set(names) - set(opened.schema_arrow.names)
            if missing:
                raise InputError(f'{file}: has no column {", ".join(sorted(missing))}')
            yield from opened.iter_batches(batch_size=rows, columns=list(names))
    except OSError as error:
        raise InputError(f'{file}: cannot be read ({str(error).splitlines()[0]}); download it '
                         'again') from error
    except pa.ArrowException as error:
        raise InputError(f'{file}: damaged parquet file ({str(error).splitlines()[0]})') from error


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """Rows with arrays for lists, without a Python object a number."""
    columns: dict[str, Sequence[Any]] = {}
    for name, column in zip(batch.schema.names, batch.columns):
        if pa.types.is_fixed_size_list(column.type) or pa.types.is_list(column.type):
            columns[name] = column.to_numpy(zero_copy_only=False)
        else:
            columns[name] = column.to_pylist()
    for i in range(batch.num_rows):
        yield {name: values[i] for name, values in columns.items()}


def _picture(stored: Any, file: Path) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of an image cell: the bytes of a PNG or JPEG file."""
    data = stored.get('bytes') if isinstance(stored, Mapping) else None
    if not data:
        raise InputError(f'{file}: names pictures in files of their own; only pictures inside '
                         'the data are read')
    try:
        with Image.open(io.BytesIO(data), formats=('PNG', 'JPEG')) as picture:
            if picture.width * picture.height > LARGEST_PIXELS:
                raise InputError(f'{file}: a picture of {picture.width}x{picture.height} is too '
                                 'large')
            return np.asarray(picture.convert('RGB'))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f'{file}: a picture that cannot be read ({error})') from error
