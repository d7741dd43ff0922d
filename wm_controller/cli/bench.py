# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm bench`: speed and memory, beside peers, as ratios."""

from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

import typer

from wm_controller.cli.common import emit, progress, reports_errors
from wm_controller.errors import InputError, NegativeResult

PARTS = ('planner', 'guardrail', 'places', 'memory', 'training', 'scaling')


@reports_errors
def bench(
    model: str = typer.Option('indoor', help='World model: a file, or the name of a shipped one.'),
    only: list[str] = typer.Option(
        list(PARTS), '--only', help=f'Parts to run, of {", ".join(PARTS)}; may be repeated.'
    ),
    cases: int = typer.Option(12, help='Situations that both planners plan in.', min=1),
    calls: int = typer.Option(200, help='Calls timed for encoding and planning.', min=10),
    samples: int = typer.Option(500, help='Commands timed through guardrail and relay.', min=20),
    drive_s: float = typer.Option(15.0, help='Driving time for the memory of nodes, s.', min=1),
    train_s: float = typer.Option(60.0, help='Training time, s.', min=5),
    data: Path | None = typer.Option(None, help='Data set to train on; default: a collected one.'),
    threads: int = typer.Option(1, help="The planner's processor threads.", min=1),
    train_threads: int = typer.Option(0, help="Training's processor threads; 0: all.", min=0),
    allow_ungated: bool = typer.Option(False, '--allow-ungated', help='Also a model that failed.'),
    as_json: bool = typer.Option(False, '--json', help='Print one JSON object.'),
) -> None:
    """
    Measure speed and memory, beside peers where there are some.

    The machine should do nothing else meanwhile. Exits with 1 if a process takes more memory than
    it may.
    """
    unknown = [part for part in only if part not in PARTS]
    if unknown:
        raise InputError(f'--only {unknown[0]}: use {", ".join(PARTS)}')
    from wm_controller.evaluation.bench_timing import machine

    result: dict[str, Any] = {'machine': machine()}
    with progress('benchmarks', total=cases + len(only) + 3) as advance:
        if 'planner' in only:
            result |= _planner(model, cases, calls, threads, advance)
            advance()
        if 'guardrail' in only:
            from wm_controller.evaluation.bench_guardrail import bench_guardrail

            advance(0, description='guardrail')
            result['guardrail'] = bench_guardrail(samples)
            advance()
        if 'places' in only:
            from wm_controller.evaluation.bench_places import bench_places

            advance(0, description='places')
            result['places'] = bench_places(calls)
            advance()
        memory: dict[str, Any] = {}
        if 'memory' in only:
            from wm_controller.evaluation.bench_memory import bench_memory

            advance(0, description='memory')
            memory |= bench_memory(model, drive_s, allow_ungated)
            advance()
        if 'training' in only:
            from wm_controller.evaluation.bench_training import bench_training

            advance(0, description='training')
            training = bench_training(train_s, data, train_threads)
            memory['training'] = {key: training.pop(key) for key in ('peak_mb', 'limit_mb')}
            result['training'] = training
            advance()
        if 'scaling' in only:
            from wm_controller.evaluation.bench_training import bench_scaling

            advance(0, description='scaling')
            result['scaling'] = bench_scaling(train_s / 2, data)
            advance()
    if memory:
        result['memory'] = memory
    emit(result, as_json, _table)
    over = [name for name, row in memory.items() if row['peak_mb'] > (row['limit_mb'] or 1e9)]
    if over:
        raise NegativeResult(f'over the memory limit: {", ".join(over)}')


def _planner(model: str, cases: int, calls: int, threads: int, advance: Any) -> dict[str, Any]:
    import torch

    from wm_controller.evaluation.bench_planner import bench_planner
    from wm_controller.world_model.bundle import load_bundle

    bundle = load_bundle(model)
    torch.set_num_threads(threads)
    advance(0, description='planner')
    return {'planner': {'model': bundle.path.name, 'model_digest': bundle.digest,
                        **bench_planner(bundle, cases, calls, advance)}}


def _table(result: Mapping[str, Any]) -> Any:
    from rich.table import Table

    machine = result['machine']
    table = Table(
        title=f'{machine["cores"]} cores, {machine["processor"]}, load {machine["load_1min"]:.1f}',
        title_justify='left', box=None, padding=(0, 2, 0, 0),
    )
    for column, justify in (('what', 'left'), ('p50', 'right'), ('p99', 'right'),
                            ('beside', 'left')):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for row in [*_planner_rows(result), *_other_rows(result)]:
        table.add_row(*row)
    return table


def _times(timing: Mapping[str, float]) -> tuple[str, str]:
    return f'{timing["p50_ms"]:.1f} ms', f'{timing["p99_ms"]:.1f} ms'


def _planner_rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    planner = result.get('planner')
    if planner is None:
        return []
    plan, peer = planner['plan'], planner['peer']
    candidates = ' + '.join(map(str, plan['candidates']))
    rows: list[tuple[str, ...]] = [
        (f'encode {planner["encode"]["image"]}', *_times(planner['encode']), ''),
        (f'plan {candidates} x {plan["steps"]}, {plan["rounds"]} rounds', *_times(plan), ''),
    ]
    rows += [
        (f'imagine and cost {row["candidates"]} x {row["steps"]}', *_times(row), '')
        for row in planner['imagine']
    ]
    for what, row in (planner['runtimes'] or {}).items():
        torch_ms = row['torch']['p50_ms']
        rows += [(f'{what} by {name}', *_times(row[name]),
                  f'{row[name]["ratio"]:.2f} x the time of torch ({torch_ms:.1f} ms), in turns')
                 for name in row if name != 'torch']
    ours, mppi = peer['ours'], peer['mppi']
    rows += [
        (f'search, {peer["candidates"]} candidates', *_times(ours),
         f'{peer["time_ratio_p50"]:.2f} x the time of pytorch-mppi ({mppi["p50_ms"]:.1f} ms)'),
        ('  cost of the plan found', f'{ours["cost_first"]:.2f}', '',
         f'pytorch-mppi {mppi["cost_first"]:.2f}; lower in {peer["better_first"]:.0%} of '
         f'{peer["cases"]} situations'),
        ('  after three more plans', f'{ours["cost_warm"]:.2f}', '',
         f'pytorch-mppi {mppi["cost_warm"]:.2f}; lower in {peer["better_warm"]:.0%}'),
    ]
    return rows


def _other_rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    guardrail = result.get('guardrail')
    if guardrail:
        relay = _times(guardrail['relay'])
        rows.append(('guardrail, over topics', *_times(guardrail['guardrail']),
                     f'{guardrail["ratio_p50"]:.2f} x and {guardrail["ratio_p99"]:.2f} x a bare '
                     f'relay ({relay[0]}, {relay[1]})'))
        for cause, timing in guardrail['braking_on_busy_cores'].items():
            rows.append((f'  from a {cause} to braking, all cores busy', *_times(timing),
                         'at most 40 ms at p99'))
    for row in result.get('places', []):
        rows += [
            (f'recognise one of {row["places"]} places', *_times(row['search']), ''),
            ('  take in a frame', *_times(row['take_in']), ''),
            ('  route', *_times(row['route']),
             f'saved in {row["save"]["p50_ms"]:.0f} ms, {row["file_mb"]:.0f} MB'),
        ]
    training = result.get('training')
    if training:
        rows.append(('training', f'{training["frames_per_s"]:.0f} frames/s', '', ''))
    scaling = result.get('scaling')
    if scaling:
        one, two = (mean(scaling[f'{count}_frames_per_s']) for count in ('one', 'two'))
        rows.append(('training by two processes', f'{two:.0f} frames/s', '',
                     f'{scaling["ratio"]:.2f} x one process ({one:.0f})'))
    for name, row in result.get('memory', {}).items():
        limit = f'may take {row["limit_mb"]:.0f} MB' if row['limit_mb'] else ''
        rows.append((f'memory, {name}', f'{row["peak_mb"]:.0f} MB', '', limit))
    return rows
