# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The report of a training run: gates, learning curves, calibration, futures to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
from pathlib import Path
from typing import Any

import cv2
import jinja2
from markupsafe import Markup
import numpy as np
import torch

from wm_controller.evaluation import palette
from wm_controller.evaluation import training_figures as figures
from wm_controller.evaluation.encoded import data_uri
from wm_controller.files import write_whole
from wm_controller.training.loop import Outcome
from wm_controller.training.samples import Sample
from wm_controller.world_model.bundle import Bundle

SHOWN_STEPS = (0, 1, 2, 4, 6, 8)
ENLARGED = 2


def write_training_report(directory: Path, outcome: Outcome, bundle: Bundle,
                          command: str = '') -> Path:
    """Write `summary.json` and a self-contained `report.html`; returns the page's path."""
    summary = {'model_digest': bundle.digest, 'model': str(bundle.path), **outcome.gates,
               'training': outcome.record, 'curve': outcome.curve}
    write_whole(directory / 'summary.json', (json.dumps(summary, indent=2) + '\n').encode())
    page = directory / 'report.html'
    write_whole(page, render(outcome, bundle, command).encode())
    return page


def render(outcome: Outcome, bundle: Bundle, command: str) -> str:
    """Make the page; everything it shows is inside it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / 'templates'), autoescape=True,
        trim_blocks=True, lstrip_blocks=True)
    record = outcome.record
    return environment.get_template('training.html.j2').render(
        title=f'Training of {bundle.path.name}',
        subtitle=f'{record["frames"]:,} frames in {record["minutes"]:g} minutes, '
                 f'{record["iterations"]:,} iterations; '
                 + ', '.join(data['name'] for data in record['data']),
        command=command,
        colours={name: value for name, value in vars(palette).items() if name.isupper()},
        rows=gate_rows(outcome.gates),
        charts=_charts(outcome.curve, outcome.gates['limits']),
        calibration=_calibration(outcome.gates.get('uncertainty', {})),
        shown_steps=SHOWN_STEPS,
        futures=[_future(sample, bundle) for sample in outcome.samples])


def gate_rows(gates: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, measured, limit: what `wm train` prints, too."""
    limits = gates['limits']
    rows = [(f'persistence ratio, {step} steps', _text(ratio),
             f'at most {limits["persistence_ratio"][step]}')
            for step, ratio in gates['persistence_ratio'].items()]
    rows.append(('effective rank', f'{gates["effective_rank"]}',
                 f'at least {limits["effective_rank"]}'))
    rows.append(('time-to-reach rank correlation', _text(gates['reach_correlation']),
                 f'at least {limits["reach_correlation"]}'))
    rows.append(('surprise threshold (energy)', _text(gates['surprise_threshold']),
                 f'false alarms {gates["surprise_false_alarm_rate"]:.0%}'))
    for name in ('latent', 'clearance'):
        table = gates.get('uncertainty', {}).get(name)
        if table:
            rows.append((f'inside the {gates["uncertainty"]["interval"]:.0%} interval of '
                         f'{name}, 1 / 4 / 8 steps',
                         ' / '.join(f'{table["coverage"][k - 1]:.0%}' for k in (1, 4, 8)), ''))
    for key in ('clearance_error_m', 'clearance_error_8_steps_m', 'clearance_no_change_8_steps_m',
                'pose_error_per_step_m', 'goal_picture_error_m', 'goal_picture_constant_m',
                'compass_error_deg', 'compass_error_surer_deg', 'proposal_excess_m',
                'proposal_floor_excess_m'):
        if key in gates:
            rows.append((key.replace('_', ' '), _text(gates[key]), ''))
    return rows


def _text(value: float | None) -> str:
    return 'not in the data' if value is None else f'{value:.4g}'


def _charts(curve: Sequence[Mapping[str, Any]], limits: Mapping[str, Any]
            ) -> list[tuple[str, Markup, str]]:
    if not curve:
        return []
    steps = list(curve[-1]['persistence_ratio'])
    ratios = {f'{step} steps': [point['persistence_ratio'][step] for point in curve]
              for step in steps}
    clearance = {'now': [point['clearance_error_m'] for point in curve],
                 '8 steps ahead': [point['clearance_error_8_steps_m'] for point in curve]}
    names = [name for name, value in curve[-1]['terms'].items() if value > 0]
    terms = {name: [point['terms'].get(name) for point in curve] for name in names}
    return [
        ('Persistence ratio', Markup(figures.curves(
            curve, ratios, {'no change': 1.0})),
         'prediction error over that of predicting no change; held-out windows'),
        ('Effective rank of latents', Markup(figures.curves(
            curve, {'rank': [point['effective_rank'] for point in curve]},
            {'collapse': limits['effective_rank']})), 'held-out windows'),
        ('Deviation of latents', Markup(figures.curves(
            curve, {'deviation': [point['deviation'] for point in curve]})),
         'standard deviation over frames, mean over dimensions; 0: collapsed'),
        ('Clearance error, m', Markup(figures.curves(curve, clearance)), 'held-out windows'),
        ('Loss terms', Markup(figures.curves(curve, terms, log=True)),
         'of the batch at hand, not weighed'),
    ]


def _calibration(table: Mapping[str, Any]) -> list[tuple[str, Markup, str]]:
    found = {name: table[name] for name in ('latent', 'clearance') if name in table}
    if not found:
        return []
    charts = [(f'{name}: share inside the {table["interval"]:.0%} interval, %', Markup(
        figures.coverage(each, table['interval'])), 'windows that did not calibrate it')
        for name, each in found.items()]
    return [*charts, ('Rank correlation of predicted and true error', Markup(
        figures.correlation(found)), '0: it does not know when it is wrong')]


def _future(sample: Sample, bundle: Bundle) -> dict[str, Any]:
    period = bundle.spec.step_period_s
    steps = [step for step in SHOWN_STEPS if step < len(sample.frames)]
    drawn = _drawn(sample, bundle, steps)
    return {
        'times': [f'{step * period:.1f}' for step in steps],
        'frames': [_picture(sample.frames[step]) for step in steps],
        'imagined': None if drawn is None else [_picture(frame) for frame in drawn],
        'clearance': Markup(figures.clearance_ahead(sample, bundle.spec.clearance_bearings)),
        'path': Markup(figures.way(sample)),
    }


def _drawn(sample: Sample, bundle: Bundle, steps: Sequence[int]) -> np.ndarray | None:
    decoder = bundle.model.decoder
    if decoder is None:
        return None
    states = torch.from_numpy(sample.states[list(steps)])
    seen = torch.from_numpy(sample.frames[:1])
    return np.asarray(decoder.pictures(states[None], seen)[0].numpy())


def _picture(frame: np.ndarray) -> str:
    height, width = frame.shape[:2]
    large = cv2.resize(frame, (ENLARGED * width, ENLARGED * height))
    done, data = cv2.imencode('.jpg', cv2.cvtColor(large, cv2.COLOR_RGB2BGR),
                              [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert done
    return data_uri(data.tobytes(), 'image/jpeg')
