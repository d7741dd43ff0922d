# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where the files that ship with the package lie: models, config, launch files, worlds."""

from collections.abc import Iterator, Mapping
import os
from pathlib import Path
import sys

from wm_controller.errors import InputError

PACKAGE = 'wm_controller'
PROFILES = 'DEFAULT_PROFILES_FILE'


def share_directories() -> Iterator[Path]:
    """
    Yield the places that hold the package's files, the nearest to the running code first.

    That is the checkout (editable and symlinked installs run from it), or the prefix that colcon
    or pip installed this very code into; then what AMENT_PREFIX_PATH and the interpreter name.
    """
    code = Path(__file__).resolve()
    checkout = code.parent.parent
    if (checkout / 'package.xml').is_file():
        yield checkout
    ament = [p for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    for prefix in [*code.parents, *map(Path, ament), Path(sys.prefix)]:
        share = prefix / 'share' / PACKAGE
        if (share / 'package.xml').is_file():
            yield share


def share_directory() -> Path:
    """Return the folder with `models`, `config`, `launch` and `worlds`, as ROS's share folder."""
    for directory in share_directories():
        return directory
    raise InputError(
        f'the files of {PACKAGE} are not installed: source the workspace (install/setup.bash), '
        'or run from a checkout'
    )


def find_model(name: str | os.PathLike[str]) -> Path:
    """Return the bundle at a path, or the shipped one of that name ('indoor')."""
    return _find(name, 'models', '.safetensors', 'model')


def find_config(name: str | os.PathLike[str]) -> Path:
    """Return the parameter file at a path, or the shipped one of that name ('robot')."""
    return _find(name, 'config', '.yaml', 'config')


def _find(name: str | os.PathLike[str], folder: str, suffix: str, kind: str) -> Path:
    path = Path(name)
    if path.is_file():
        return path
    shipped = share_directory() / folder
    # A name is one word: 'indoor' is looked up, 'my/indoor' and 'indoor.safetensors' are paths.
    if path.name == str(name) and path.suffix != suffix:
        candidate = shipped / f'{name}{suffix}'
        if candidate.is_file():
            return candidate
        known = ', '.join(sorted(p.stem for p in shipped.glob(f'*{suffix}'))) or 'none'
        raise InputError(f'{name}: no such file, nor a shipped {kind} (there is: {known})')
    raise InputError(f'{name}: no such file')


def dds_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """
    Return the variable that lets Fast DDS carry raw images; none where the user has a profile.

    Without it an image that does not fit the default shared-memory segment (512 KB) never
    arrives, without an error.
    """
    if any(name in environment for name in ('FASTDDS_' + PROFILES, 'FASTRTPS_' + PROFILES)):
        return {}
    # Fast DDS 3 renamed the variable, and warns about the old name.
    old = environment.get('ROS_DISTRO') in ('humble', 'iron', 'jazzy')
    name = ('FASTRTPS_' if old else 'FASTDDS_') + PROFILES
    return {name: str(share_directory() / 'config' / 'fastdds.xml')}
