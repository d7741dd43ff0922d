# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Files and folders that are there whole or not at all: written beside, then renamed."""

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import shutil

from wm_controller.errors import InputError


@contextmanager
def replacing(path: Path, make_folder: bool = False) -> Iterator[Path]:
    """Give a temporary path beside `path`, which takes its place at the end of a good block.

    Nothing stays behind after any error; one of the file system is raised as InputError.
    """
    temporary = path.with_name(f'.{path.stem}.{os.getpid()}.partial{path.suffix}')
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f'{path}: cannot be written: {error.strerror or error}; free space or '
                         'choose another path') from error
    finally:
        if temporary.exists():
            temporary.unlink()


def write_whole(path: Path, data: bytes, make_folder: bool = False) -> None:
    """Write bytes, through to the disk; raises InputError."""
    with replacing(path, make_folder) as temporary, open(temporary, 'wb') as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def making_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`, which gets that name at the end of a good block.

    A `path` that exists is refused, never written over. Raises InputError.
    """
    if path.exists():
        raise InputError(f'{path}: exists already; choose another name, or remove it first')
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.partial')
    try:
        temporary.mkdir()
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f'{path}: cannot be written: {error.strerror or error}; free space or '
                         'choose another path') from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
