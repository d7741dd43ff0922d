# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the nodes will be told, and what the model needs: the doctor compares with it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
import math
from pathlib import Path
from typing import Any

import yaml

from wm_controller.errors import InputError
from wm_controller.resources import find_config, find_model

NODES = ('controller', 'guardrail')


@dataclass(frozen=True)
class Expected:
    """Parameters of controller and guardrail that say what the topics must be like; SI units."""

    odom_frame: str = 'odom'
    base_frame: str = 'base_link'
    enable_stamped_cmd_vel: bool = True
    max_linear_velocity: float = 0.5
    max_angular_velocity: float = 1.5
    footprint_radius: float = 0.18
    scan_x: float = 0.0
    scan_y: float = 0.0
    scan_yaw: float = 0.0
    scan_required: bool = False
    sensor_timeout_s: float = 0.5
    image_timeout_s: float = 0.4
    auto_timeout_s: float = 0.25
    command_delay_s: float = 0.12
    horizontal_fov: float = 0.0  # rad, 0: not known
    step_period_s: float = 0.2  # of the model
    source: str = ''

    @property
    def image_rate_hz(self) -> float:
        """Least rate of the camera: an image for each step of the model."""
        return 1.0 / self.step_period_s


def read_expected(params_file: str | Path | None, model: str | None) -> Expected:
    """Read a parameter file (None: the shipped one) and a bundle; raises InputError."""
    path = find_config(params_file if params_file is not None else 'robot')
    known = {each.name: type(each.default) for each in fields(Expected)}
    given: dict[str, Any] = {}
    for name, value in _parameters(path).items():
        if name in known:
            given[name] = _fitting(path, name, value, known[name])
    if model is not None:
        given |= _of_model(find_model(model))
    return Expected(**{**given, 'source': str(path)})


def _parameters(path: Path) -> dict[str, Any]:
    """Parameters that reach controller or guardrail, whatever their namespace; later ones win."""
    try:
        sections = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = ' '.join(str(error).split())
        raise InputError(f'{path}: is no YAML file of parameters: {line}') from error
    found: dict[str, Any] = {}
    for name, section in (sections if isinstance(sections, dict) else {}).items():
        last = str(name).rstrip('/').rpartition('/')[2]
        if last in ('*', '**', *NODES) and isinstance(section, dict):
            values = section.get('ros__parameters')
            found |= values if isinstance(values, dict) else {}
    if not found:
        raise InputError(f'{path}: holds no ros__parameters of controller, guardrail or /**; see '
                         'config/robot.yaml')
    return found


def _fitting(path: Path, name: str, value: Any, kind: type) -> Any:
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        if math.isfinite(value):
            return float(value)
    elif isinstance(value, kind):
        return value
    raise InputError(f'{path}: {name} is {value!r}, expected a {kind.__name__}')


def _of_model(path: Path) -> Mapping[str, Any]:
    from wm_controller.data.bundle_summary import summarise_bundle

    described = summarise_bundle(path)['description']
    found = {'step_period_s': float(described.get('step_period_s') or 0.2)}
    if described.get('horizontal_fov'):
        found['horizontal_fov'] = float(described['horizontal_fov'])
    return found
