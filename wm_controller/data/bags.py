# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Recordings of ROS 1 and ROS 2 as one kind of thing, refused with one line where they are broken.

Reads rosbag2 folders (sqlite3, mcap, zstd by file or message), single .mcap and .db3 files, also
as .zstd, and ROS 1 .bag files; bags without type definitions get those of ROS 2 Humble, whose
camera, odometry, twist and scan messages are the same in all distributions.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
import hashlib
from pathlib import Path
import sys
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from rosbags.highlevel import AnyReader
from rosbags.typesys import get_typestore, Stores

from wm_controller.data.digest import file_sha256
from wm_controller.errors import InputError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BAG_SUFFIXES = ('.mcap', '.db3', '.bag')
ZSTD_MAGIC = b'\x28\xb5\x2f\xfd'
REMEDY = {
    '.mcap': 'copy it again, or repair it with `mcap recover`',
    '.db3': 'copy it again, or repair it with `sqlite3 FILE .recover`',
    '.bag': 'copy it again, or repair it with `rosbag reindex`',
}


@dataclass(frozen=True)
class Message:
    """One message: `stamp_s` from its header (None without one or with zero), receipt, content."""

    stamp_s: float | None
    receipt_s: float
    content: Any


class Bag:
    """One recording, open for reading. Use as a context manager."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.missing_metadata = False
        self._stack = ExitStack()
        self._store = get_typestore(Stores.ROS2_HUMBLE)

    def __enter__(self) -> 'Bag':
        try:
            self.files = self._find_files()
            self._reader = self._open()
            self._stack.callback(self._reader.close)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stack.close()

    @property
    def topics(self) -> dict[str, str]:
        """Topic names and normalised types (`sensor_msgs/msg/Image`), of topics with messages."""
        counts: dict[str, int] = {}
        for connection in self._reader.connections:
            counts[connection.topic] = counts.get(connection.topic, 0) + connection.msgcount
        return {c.topic: _normal_type(c.msgtype) for c in self._reader.connections
                if counts[c.topic] > 0}

    def counts(self) -> dict[str, int]:
        """Messages per topic."""
        return {name: info.msgcount for name, info in self._reader.topics.items()}

    def messages(self, topics: Sequence[str]) -> Iterator[tuple[str, Message]]:
        """(topic, message) of these topics, in the order of receipt."""
        connections = [c for c in self._reader.connections if c.topic in topics]
        if not connections:
            return
        try:
            for connection, receipt_ns, raw in self._reader.messages(connections):
                content = self._deserialise(raw, connection.msgtype)
                yield connection.topic, Message(_header_stamp(content), receipt_ns * 1e-9, content)
        except (InputError, GeneratorExit, OSError):
            raise
        except Exception as error:  # a damaged file shows as one of many library exceptions
            raise InputError(f'{self.path}: damaged: {_line(error)}; '
                             f'{self._remedy()}') from error

    def stray_files(self) -> list[str]:
        """Data files in the folder that its metadata.yaml does not list."""
        if not self.path.is_dir():
            return []
        listed = {name for name, _ in self.files}
        return sorted(p.name for p in self.path.iterdir()
                      if _suffix(p) in BAG_SUFFIXES and p.name not in listed)

    def sha256(self) -> str:
        """SHA-256 of the file; of a folder, over its files' names and hashes."""
        hashes = [(name, file_sha256(path)) for name, path in self.files]
        if len(hashes) == 1:
            return hashes[0][1]
        text = ''.join(f'{digest}  {name}\n' for name, digest in sorted(hashes))
        return hashlib.sha256(text.encode()).hexdigest()

    def _find_files(self) -> list[tuple[str, Path]]:
        """Name the data files, refusing what is no bag or a bag with parts missing."""
        path = self.path
        if not path.exists():
            raise InputError(f'{path}: no such file or folder')
        if path.is_file():
            if _suffix(path) not in BAG_SUFFIXES:
                raise InputError(f'{path}: is not a bag; expected a rosbag2 folder or a file '
                                 'ending in .mcap, .db3 or .bag')
            if path.stat().st_size == 0:
                raise InputError(f'{path}: is an empty file')
            return [(path.name, path)]
        if (path / 'metadata.yaml').is_file():
            return self._files_of_metadata()
        found = sorted(p for p in path.iterdir() if _suffix(p) in BAG_SUFFIXES and p.is_file())
        if (path / 'meta' / 'info.json').is_file():
            raise InputError(f'{path}: is a data set of LeRobot, not a bag: use `wm convert`')
        if not found:
            raise InputError(f'{path}: is not a bag: the folder holds no metadata.yaml and no '
                             '.mcap, .db3 or .bag file')
        self.missing_metadata = True  # a recorder that was killed writes none
        return [(p.name, p) for p in found]

    def _files_of_metadata(self) -> list[tuple[str, Path]]:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError
        metadata = self.path / 'metadata.yaml'
        try:
            text = metadata.read_text(encoding='utf-8')
            listed = YAML(typ='safe').load(text)['rosbag2_bagfile_information'][
                'relative_file_paths']
            names = [Path(str(name)).name for name in listed]
        except (YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise InputError(f'{metadata}: is not the metadata of a rosbag2 bag; restore it with '
                             '`ros2 bag reindex`') from error
        missing = [name for name in names if not (self.path / name).is_file()]
        if missing:
            raise InputError(
                f'{self.path}: {len(missing)} of {len(names)} parts of the bag are missing: '
                f'{_shorten(missing)}; copy them there, or ingest a part by naming its file')
        if not names:
            raise InputError(f'{metadata}: lists no data file: nothing was recorded')
        return [(name, self.path / name) for name in names]

    def _open(self) -> AnyReader:
        # The library takes a folder named like a ROS 1 file for one.
        by_metadata = self.path.is_dir() and not self.missing_metadata
        if by_metadata and self.path.suffix != '.bag':
            paths = [self.path]
        else:
            paths = [self._unpacked(path) for _, path in self.files]
        if len({p.suffix == '.bag' for p in paths}) > 1:
            raise InputError(f'{self.path}: holds bags of both ROS 1 and ROS 2; name one of them')
        try:
            reader = AnyReader(paths, default_typestore=self._store)
            reader.open()
        except (OSError, InputError):
            raise
        except Exception as error:  # see messages()
            raise InputError(f'{self.path}: damaged or truncated bag: {_line(error)}; '
                             f'{self._remedy()}') from error
        return reader

    def _unpacked(self, path: Path) -> Path:
        if path.suffix not in ('.zstd', '.zst'):
            return path
        folder = Path(self._stack.enter_context(TemporaryDirectory(prefix='wm-ingest-')))
        target = folder / path.stem
        try:
            with zstd.open(path, 'rb') as packed, target.open('wb') as out:
                while block := packed.read(1 << 20):
                    out.write(block)
        except (zstd.ZstdError, EOFError) as error:
            raise InputError(f'{path}: damaged or truncated zstd file; copy it again') from error
        return target

    def _deserialise(self, raw: bytes | memoryview, msgtype: str) -> Any:
        if bytes(raw[:4]) == ZSTD_MAGIC:
            # A part of a bag with packed messages, read without the metadata that says so.
            raw = zstd.decompress(bytes(raw))
        if not self._reader.is2:
            return self._reader.deserialize(bytes(raw), msgtype)
        if msgtype in self._reader.typestore.fielddefs:
            return self._reader.deserialize(bytes(raw), msgtype)
        return self._store.deserialize_cdr(bytes(raw), _normal_type(msgtype))

    def _remedy(self) -> str:
        return REMEDY[_suffix(self.files[0][1])]


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix if path.suffix in ('.zstd', '.zst') else path.suffix


def _normal_type(name: str) -> str:
    """`sensor_msgs/Image` is what ROS 1 and some converters call `sensor_msgs/msg/Image`."""
    package, _, rest = name.partition('/')
    return f'{package}/msg/{rest}' if '/' not in rest else name


def _header_stamp(content: Any) -> float | None:
    header = getattr(content, 'header', None)
    if header is None:
        return None
    stamp = int(header.stamp.sec) + int(header.stamp.nanosec) * 1e-9
    return stamp if stamp > 0 else None


def _shorten(names: Sequence[str], shown: int = 3) -> str:
    if len(names) <= shown + 1:
        return ', '.join(names)
    return f'{", ".join(names[:shown])} ... {names[-1]}'


def _line(error: BaseException) -> str:
    return ' '.join(str(error).split())[:200].rstrip('.') or type(error).__name__
