# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Our data sets as LeRobot data sets (layout v3.0): pictures exact as PNG, or H.264 video."""

from collections.abc import Callable, Mapping
from fractions import Fraction
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
import pyarrow as pa
import pyarrow.parquet as pq

from wm_controller.data import lerobot_layout as layout
from wm_controller.data import schema
from wm_controller.data.dataset import Dataset
from wm_controller.data.foreign import json_attributes
from wm_controller.errors import InputError
from wm_controller.files import making_folder

IMAGE_TYPE = pa.struct([('bytes', pa.binary()), ('path', pa.string())])
QUANTILES = {'q01': 0.01, 'q10': 0.1, 'q50': 0.5, 'q90': 0.9, 'q99': 0.99}


def write_lerobot(data: Dataset, folder: Path, *, video: bool = False, task: str = 'drive',
                  robot: str = 'mobile_base', progress: Callable[[float], Any] | None = None
                  ) -> dict[str, Any]:
    """Write all of `data` to `folder`, which must not exist; returns the report.

    A column without any number is left out, as LeRobot has no word for "not recorded".
    """
    rate = Fraction(data.rate_hz).limit_denominator(1000)
    if rate.denominator != 1:
        raise InputError(f'{data.path}: {data.rate_hz:g} steps a second; LeRobot counts whole '
                         'ones: ingest it with --rate 5, for example')
    width, height = data.image_size
    if video and (width % 2 or height % 2):
        raise InputError(f'{data.path}: frames of {width}x{height}; video needs even sizes: '
                         'leave out --video')
    with making_folder(folder) as root:
        writer = _Writer(data, root, int(rate), video)
        for episode in range(data.n_episodes):
            writer.add(episode)
            if progress is not None:
                progress(int(data.ep_len[episode]))
        writer.finish(task, robot)
    return {'output': str(folder), 'layout': layout.VERSION, 'episodes': data.n_episodes,
            'steps': data.n_steps, 'fps': int(rate), 'pictures': 'video' if video else 'png',
            'left_out': sorted(set(writer.absent))}


class _Writer:
    def __init__(self, data: Dataset, root: Path, fps: int, video: bool) -> None:
        self._data, self._root, self._fps, self._video = data, root, fps, video
        self._columns: dict[str, NDArray[Any]] = {}
        self.absent: list[str] = []
        self._names: dict[str, tuple[str, ...] | None] = {}
        self._units: dict[str, str] = {}
        self._choose()
        self._schema = self._arrow_schema()
        self._open: pq.ParquetWriter | None = None
        self._file, self._bytes = -1, 0
        self._rows: list[dict[str, Any]] = []
        self._light = np.zeros((3, 3))  # sum, sum of squares, count, of each colour
        self._range = np.array([[np.inf] * 3, [-np.inf] * 3])

    def _choose(self) -> None:
        data = self._data
        per_step = [name for name in data.extras if not name.startswith('ep_')]
        for name in (*layout.FEATURES, *per_step):
            values = data.column(name)
            feature, names = layout.FEATURES.get(name, (layout.EXTRA + name, None))
            if values.dtype.kind == 'f' and not np.isfinite(values).any():
                self.absent.append(name)
                continue
            self._columns[feature] = values
            self._names[feature] = names
            self._units[feature] = layout.UNITS.get(name, '')

    def _arrow_schema(self) -> pa.Schema:
        fields = []
        for name, values in self._columns.items():
            kind = pa.from_numpy_dtype(values.dtype)
            flat = int(np.prod(values.shape[1:]))
            fields.append((name, kind if values.ndim == 1 else pa.list_(kind, flat)))
        if not self._video:
            fields.append((layout.IMAGE, IMAGE_TYPE))
        fields += [(name, pa.float32() if name == 'timestamp' else pa.int64())
                   for name in layout.COUNTERS]
        return pa.schema(fields)

    def add(self, episode: int) -> None:
        """Write an episode; one row group each, as LeRobot's own writer does."""
        steps = self._data.steps(episode)
        n, first = steps.stop - steps.start, steps.start
        pixels = self._data.pixels[steps]
        self._measure(pixels)
        columns: dict[str, Any] = {}
        for name, values in self._columns.items():
            part = values[steps]
            columns[name] = part if part.ndim == 1 else list(part.reshape(n, -1))
        if not self._video:
            columns[layout.IMAGE] = [{'bytes': _png(p), 'path': f'frame-{i:06d}.png'}
                                     for i, p in enumerate(pixels)]
        columns |= {'timestamp': np.arange(n, dtype=np.float32) / np.float32(self._fps),
                    'frame_index': np.arange(n), 'episode_index': np.full(n, episode),
                    'index': np.arange(first, first + n), 'task_index': np.zeros(n, np.int64)}
        table = pa.table(columns, schema=self._schema)
        if self._open is None or self._bytes > layout.DATA_FILE_MB << 20:
            self._next_file()
        assert self._open is not None
        self._open.write_table(table)
        self._bytes += table.nbytes
        where = dict(zip(('chunk_index', 'file_index'), divmod(self._file, layout.CHUNK_FILES)))
        row = {'episode_index': episode, 'tasks': None, 'length': n,
               **{f'data/{name}': value for name, value in where.items()},
               'dataset_from_index': first, 'dataset_to_index': first + n,
               'meta/episodes/chunk_index': 0, 'meta/episodes/file_index': 0}
        if self._video:
            where = dict(zip(('chunk_index', 'file_index'), divmod(episode, layout.CHUNK_FILES)))
            path = self._root / layout.VIDEO.format(video_key=layout.IMAGE, **where)
            _mp4(path, pixels, self._fps)
            row |= {f'videos/{layout.IMAGE}/{name}': value for name, value in where.items()}
            row |= {f'videos/{layout.IMAGE}/from_timestamp': 0.0,
                    f'videos/{layout.IMAGE}/to_timestamp': n / self._fps}
        self._rows.append(row)

    def _next_file(self) -> None:
        if self._open is not None:
            self._open.close()
        self._file, self._bytes = self._file + 1, 0
        chunk, number = divmod(self._file, layout.CHUNK_FILES)
        path = self._root / layout.DATA.format(chunk_index=chunk, file_index=number)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open = pq.ParquetWriter(path, self._schema, compression='snappy')

    def _measure(self, pixels: NDArray[np.uint8]) -> None:
        light = pixels.reshape(-1, 3) / 255.0
        self._light += [light.sum(0), (light ** 2).sum(0), [len(light)] * 3]
        self._range = np.stack([np.minimum(self._range[0], light.min(0)),
                                np.maximum(self._range[1], light.max(0))])

    def finish(self, task: str, robot: str) -> None:
        """Write what describes the data."""
        if self._open is not None:
            self._open.close()
        for row in self._rows:
            row['tasks'] = [task]
        episodes = self._root / layout.EPISODES.format(chunk_index=0, file_index=0)
        episodes.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(self._rows), episodes)
        _write_tasks(self._root / layout.TASKS, task)
        _write_json(self._root / layout.INFO, {
            'codebase_version': layout.VERSION, 'robot_type': robot, 'fps': self._fps,
            'total_episodes': self._data.n_episodes, 'total_frames': self._data.n_steps,
            'total_tasks': 1, 'chunks_size': layout.CHUNK_FILES,
            'data_files_size_in_mb': layout.DATA_FILE_MB,
            'video_files_size_in_mb': layout.VIDEO_FILE_MB,
            'splits': {'train': f'0:{self._data.n_episodes}'},
            'data_path': layout.DATA, 'video_path': layout.VIDEO if self._video else None,
            'features': self._features()})
        _write_json(self._root / layout.STATS, self._stats())
        _write_json(self._root / layout.OURS, {
            'schema': schema.SCHEMA, 'digest': self._data.digest, 'units': self._units,
            'clearance_bearings': self._data.bearings.tolist(),
            'attributes': json_attributes(self._data.attributes),
            'episode_columns': {
                name: [v.decode() if isinstance(v, bytes) else v
                       for v in self._data.column(name).tolist()]
                for name in self._data.extras if name.startswith('ep_')}})

    def _features(self) -> dict[str, Any]:
        width, height = self._data.image_size
        features: dict[str, Any] = {}
        for name, values in self._columns.items():
            names = self._names[name]
            features[name] = {'dtype': str(values.dtype), 'shape': list(values.shape[1:]) or [1],
                              'names': None if names is None else list(names)}
        picture: dict[str, Any] = {'dtype': 'video' if self._video else 'image',
                                   'shape': [height, width, 3],
                                   'names': ['height', 'width', 'channels']}
        if self._video:
            picture['info'] = {
                'video.fps': self._fps, 'video.height': height, 'video.width': width,
                'video.channels': 3, 'video.codec': 'h264', 'video.pix_fmt': 'yuv420p',
                'video.is_depth_map': False, 'has_audio': False}
        features[layout.IMAGE] = picture
        for name in layout.COUNTERS:
            features[name] = {'dtype': 'float32' if name == 'timestamp' else 'int64',
                              'shape': [1], 'names': None}
        return features

    def _stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = {}
        for name, values in self._columns.items():
            rows = values.reshape(len(values), -1).astype(np.float64)
            known = rows[np.isfinite(rows).all(axis=1)]
            if not len(known):
                continue
            stats[name] = {'min': known.min(0).tolist(), 'max': known.max(0).tolist(),
                           'mean': known.mean(0).tolist(), 'std': known.std(0).tolist(),
                           'count': [len(known)],
                           **{key: np.quantile(known, q, axis=0).tolist()
                              for key, q in QUANTILES.items()}}
        total, squares, count = self._light
        mean = total / count
        spread = np.sqrt(np.maximum(squares / count - mean ** 2, 0.0))
        shown: Mapping[str, NDArray[Any]] = {'min': self._range[0], 'max': self._range[1],
                                             'mean': mean, 'std': spread}
        stats[layout.IMAGE] = {key: value.reshape(3, 1, 1).tolist()
                               for key, value in shown.items()}
        stats[layout.IMAGE]['count'] = [self._data.n_steps]
        return stats


def _png(picture: NDArray[np.uint8]) -> bytes:
    done, data = cv2.imencode('.png', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert done
    return bytes(data)


def _mp4(path: Path, pixels: NDArray[np.uint8], fps: int) -> None:
    """H.264, a key frame every second frame, so that single frames are found quickly."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), 'w') as container:
        try:
            stream: Any = container.add_stream('libx264', rate=fps)
        except (ValueError, av.error.FFmpegError) as error:
            raise InputError(f'this PyAV has no encoder for H.264 ({error}): leave out '
                             '--video') from error
        stream.height, stream.width = pixels.shape[1:3]
        stream.pix_fmt = 'yuv420p'
        stream.options = {'crf': '18', 'g': '2', 'preset': 'veryfast', 'bf': '0'}
        for picture in pixels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        container.mux(stream.encode())


def _write_tasks(path: Path, task: str) -> None:
    """Tasks as pandas would store them: the text is the index, which LeRobot looks up."""
    about = {'index_columns': ['task'], 'column_indexes': [], 'pandas_version': '2.0.0',
             'columns': [{'name': 'task_index', 'field_name': 'task_index', 'metadata': None,
                          'pandas_type': 'int64', 'numpy_type': 'int64'},
                         {'name': 'task', 'field_name': 'task', 'metadata': None,
                          'pandas_type': 'unicode', 'numpy_type': 'object'}]}
    table = pa.table({'task_index': pa.array([0], pa.int64()), 'task': [task]})
    pq.write_table(table.replace_schema_metadata({'pandas': json.dumps(about)}), path)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')
