# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""wm inspect: what is in a data set or a model bundle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from wm_controller.cli.common import emit, progress, reports_errors
from wm_controller.errors import InputError, NegativeResult
from wm_controller.files import write_whole

BLOCKS = ' ▁▂▃▄▅▆▇█'


@reports_errors
def inspect(
    file: str = typer.Argument(
        ..., metavar='FILE', help='Data set (.h5), bundle (.safetensors) or name of a shipped '
        'bundle.'),
    frames: Path = typer.Option(None, help='Write sample frames of a data set as a PNG.'),
    html: Path = typer.Option(None, help='Write all of it as one HTML page.'),
    verify: bool = typer.Option(
        True, help='Compare the content of a data set with its digest; reads all of it.'),
    as_json: bool = typer.Option(False, '--json', help='Print one JSON object.'),
) -> None:
    """Show counts, rates, gaps, histograms and sample frames of a data set, or a bundle's gates.

    Exit code 1 if the content of a data set does not match its digest.
    """
    path = _resolve(file)
    if _looks_like_bundle(path):
        from wm_controller.data.bundle_summary import summarise_bundle
        if frames is not None:
            raise InputError(f'{path}: a model bundle has no frames to show (--frames)')
        report, sheet = summarise_bundle(path), None
    else:
        report, sheet = _dataset(path, verify, pictures=frames is not None or html is not None)
    if frames is not None and sheet is not None:
        from wm_controller.cli.inspect_html import png_bytes
        write_whole(frames, png_bytes(sheet))
        report['frames_file'] = str(frames)
    if html is not None:
        from wm_controller.cli.inspect_html import page
        write_whole(html, page(report, sheet).encode())
        report['html_file'] = str(html)
    emit(report, as_json, _render_bundle if report['kind'] == 'bundle' else _render_dataset)
    if report.get('digest_verified') is False:
        raise NegativeResult(f'{path}: the content does not match the digest in the file: it was '
                             'changed or damaged after it was written')


def _dataset(path: Path, verify: bool, pictures: bool) -> tuple[dict[str, Any], Any]:
    from wm_controller.data.dataset import Dataset
    from wm_controller.data.summary import contact_sheet, summarise
    with Dataset.open(path) as data, progress(f'verifying {path.name}', data.n_steps) as advance:
        report = summarise(data, verify, advance)
        return report, contact_sheet(data) if pictures else None


def _resolve(file: str) -> Path:
    path = Path(file).expanduser()
    if path.exists():
        return path
    if path.suffix or '/' in file:
        raise InputError(f'{file}: no such file')
    from wm_controller.resources import find_model
    return find_model(file)


def _looks_like_bundle(path: Path) -> bool:
    if not path.is_file():
        return False
    if path.suffix == '.safetensors':
        return True
    with path.open('rb') as stream:  # eight bytes of length, then JSON
        head = stream.read(9)
    return len(head) == 9 and head[8:] == b'{' and int.from_bytes(head[:8], 'little') < 1 << 30


def _render_dataset(report: Mapping[str, Any]) -> Any:
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    title = f'{escape(report["path"])} ({_bytes(report["file_bytes"])})'
    facts = Table(title=title, show_header=False, title_justify='left')
    facts.add_column()
    facts.add_column(overflow='fold')  # a digest has no place to break at
    for name, text in dataset_facts(report).items():
        facts.add_row(name, escape(text))
    shapes = Table(title='distributions', title_justify='left')
    for head in ('', 'min', 'histogram', 'max', 'mean'):
        shapes.add_column(head, justify='left' if head in ('', 'histogram') else 'right',
                          no_wrap=True)
    lengths = {'episode, steps': {**report['episode_steps']['histogram']}}
    for name, histogram in {**report['histograms'], **lengths}.items():
        shapes.add_row(name, f'{histogram["min"]:.3g}', bars(histogram['counts']),
                       f'{histogram["max"]:.4g}', f'{histogram["mean"]:.3g}')
    return Group(facts, shapes)


def dataset_facts(report: Mapping[str, Any]) -> dict[str, str]:
    """Name and text of each fact, in reading order; shared with the HTML page."""
    timing, lengths = report['timing'], report['episode_steps']
    verified = {True: ' (content verified)', False: ' (CONTENT DIFFERS)', None: ''}
    facts = {
        'schema': report['schema'],
        'steps': f'{report["steps"]} of {report["step_period_s"]:.4g} s '
                 f'({report["rate_hz"]:g} Hz), {report["duration_s"] / 60:.1f} min',
        'episodes': f'{report["episodes"]}, {lengths["min"]:.0f} to {lengths["max"]:.0f} steps, '
                    f'median {lengths["median"]:.0f}',
        'images': '{}x{}'.format(*report['image_size'])
                  + f', contrast {report["pixels"]["contrast"]["median"]:.0f}, flat '
                    f'{report["pixels"]["flat_share"]:.1%}, repeated '
                    f'{report["pixels"]["repeated_share"]:.1%} of '
                    f'{report["pixels"]["sampled"]} sampled',
        'step period': f'{timing["step_s"].get("min", 0):.3f} to '
                       f'{timing["step_s"].get("max", 0):.3f} s, '
                       f'{timing["uneven_share"]:.1%} uneven',
        'gaps': f'{timing["pauses"]} between episodes'
                + (f', longest {timing["longest_pause_s"]:.2f} s' if timing['pauses'] else ''),
        'not a number': ', '.join(f'{k} {v:.1%}' for k, v in report['nan_share'].items()),
        'motion': f'still {report["still_share"]:.1%}, reverse {report["reverse_share"]:.1%}'
                  + (f', {report["distance_m"]:.1f} m driven' if report['distance_m'] else ''),
    }
    if report['action_source']:
        facts['action from'] = str(report['action_source'])
    if report['extra_columns']:
        facts['more columns'] = ', '.join(report['extra_columns'])
    for bag in report.get('ingested', []):
        lag = bag['lag']
        text = f'{bag["frames"]} images at {bag["camera_hz"] or 0:.1f} Hz'
        if lag['lag_s'] is not None:
            text += (f'; lag {lag["lag_s"]:.2f} s (correlation {lag["correlation"]:.2f}, '
                     f'{"" if lag["aligned"] else "not "}aligned)')
        for what in ('dropped', 'ended_by'):
            text += f'; {what.replace("_", " ")}: ' + ', '.join(
                f'{n} {reason}' for reason, n in bag[what].items())
        facts[Path(bag['path']).name] = text
    if not report.get('ingested'):
        facts['sources'] = _sources(report['sources'])
    if report['command']:
        facts['made by'] = report['command']
    facts['digest'] = report['digest'] + verified[report['digest_verified']]
    return facts


def bars(counts: list[int]) -> str:
    """Counts as one line of blocks; what is there but small stays visible."""
    top = max(max(counts), 1)
    return ''.join(BLOCKS[0 if n == 0 else max(1, round(n / top * 8))] for n in counts)


def _sources(sources: list[Mapping[str, Any]]) -> str:
    names = [str(source.get('path') or source) for source in sources]
    return ', '.join(names[:3]) + (f' and {len(names) - 3} more' if len(names) > 3 else '')


def _render_bundle(report: Mapping[str, Any]) -> Any:
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    tables = []
    for title, rows in bundle_tables(report).items():
        table = Table(title=escape(title), show_header=False, title_justify='left')
        table.add_column()
        table.add_column(overflow='fold')
        for name, text in rows.items():
            table.add_row(escape(name), escape(text))
        tables.append(table)
    return Group(*tables)


def bundle_tables(report: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Title, and name and text of each row; shared with the HTML page."""
    from wm_controller.data.bundle_summary import flatten
    verdict = {True: 'passed', False: 'FAILED', None: 'not tried'}[report['passed']]
    plain: dict[str, Any] = {}
    nested: dict[str, Any] = {}
    for key, value in report['description'].items():
        (nested if isinstance(value, dict) else plain)[key] = value
    facts = {
        'schema': report['schema'], 'gates': verdict,
        'size': f'{_bytes(report["file_bytes"])}, {report["parameters"]:,} parameters in '
                f'{report["tensors"]} tensors',
        'parts': ', '.join(f'{name} {n:,}' for name, n in report['parts'].items()),
        **flatten(plain), 'digest': report['digest']}
    tables = {str(report['path']): facts}
    if report['gates']:
        tables['gates'] = flatten(report['gates'])
    tables.update({name: flatten(value) for name, value in nested.items()})
    return tables


def _bytes(n: int) -> str:
    return f'{n / 1e6:.1f} MB' if n >= 1e5 else f'{n / 1e3:.1f} kB'
