# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm collect`: drive the simulated robot through procedural rooms and record a data set."""

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
import time
from typing import Any

import typer

from wm_controller.cli.common import emit, progress, reports_errors
from wm_controller.errors import InputError
from wm_controller.spread import RAY_HELP, spread, Workers

ROOMS_PER_SEED = 1_000_000  # room seeds of one --seed; those of another never meet them


@reports_errors
def collect(
    output: Path = typer.Option(..., '-o', '--output', help='Data set file to write (HDF5).'),
    rooms: int = typer.Option(100, '--rooms', help='Number of rooms, each different.'),
    steps: int = typer.Option(
        800, '--steps', help='Steps (frames) to record in each room: rooms x steps in all.'
    ),
    family: str = typer.Option('training', help='Rooms to draw from: training or evaluation.'),
    seed: int = typer.Option(0, help='Seed of rooms and driving; another seed has other rooms.'),
    rate: float = typer.Option(5.0, help='Steps a second, Hz: the step of the model.'),
    workers: int = typer.Option(0, help='Processes; 0: one a core.'),
    ray: str | None = typer.Option(None, metavar='ADDRESS', help=RAY_HELP),
    as_json: bool = typer.Option(False, '--json', help='Print one JSON object.'),
) -> None:
    """
    Drive the simulated robot through procedural rooms and record a data set.

    It drives to goals through doors and corridors, wanders, touches walls and backs out, holds
    random commands; in about a third of the rooms people walk about. The file appears whole, at
    the end; the same options give the same data, whatever the number of workers.
    """
    from wm_controller.data import schema
    from wm_controller.data.writer import DatasetWriter
    from wm_controller.simulation.collecting import collect_room, Collection

    _check(rooms, steps, family, seed, rate)
    where = Workers(workers, ray, here=True)
    jobs = [
        Collection(seed * ROOMS_PER_SEED + i, family, steps, 1.0 / rate, schema.IMAGE_SIZE,
                   tuple(schema.CLEARANCE_BEARINGS.tolist()))
        for i in range(rooms)
    ]
    started = time.monotonic()
    totals: Counter[str] = Counter()
    styles: Counter[str] = Counter()
    command = (
        f'wm collect --rooms {rooms} --steps {steps} --family {family} --seed {seed} '
        f'--rate {rate:g}'
    )
    sources = [{'path': f'room:{family}/{jobs[0].room_seed}..{jobs[-1].room_seed}'}]
    with (
        DatasetWriter(output, rate, sources=sources, command=command,
                      attributes={'family': family}) as writer,
        closing(spread(collect_room, [(job,) for job in jobs], where, in_order=True)
                ) as recorded,
        progress('collecting rooms', total=rooms) as advance,
    ):
        for _, episodes in recorded:
            for e in episodes:
                writer.append_episode(
                    e.pixels, e.action, e.proprio, e.pose, e.stamp, e.clearance,
                    extras={'world_pose': e.world_pose, 'contact': e.contact},
                    episode_extras={
                        'ep_room': e.room_seed, 'ep_family': family, 'ep_layout': e.layout,
                        'ep_driver': e.style, 'ep_collisions': e.collisions,
                    },
                )
                styles[e.style] += len(e.stamp)
                totals.update(episodes=1, steps=len(e.stamp), collisions=e.collisions,
                              contact_steps=int(e.contact.sum()), reverse_steps=int(
                                  (e.action[:, 0] < 0).sum()))
                totals['distance_mm'] += round(1000 * e.distance_m)
            advance()
    wall_s = time.monotonic() - started
    result = {
        'output': str(output), 'family': family, 'seed': seed, 'rooms': rooms,
        'episodes': totals['episodes'], 'steps': totals['steps'],
        'hours': totals['steps'] / rate / 3600, 'distance_m': totals['distance_mm'] / 1000,
        'collisions': totals['collisions'],
        'contact_share': totals['contact_steps'] / totals['steps'],
        'reverse_share': totals['reverse_steps'] / totals['steps'],
        'driver_shares': {k: n / totals['steps'] for k, n in sorted(styles.items())},
        'bytes': output.stat().st_size, 'wall_s': wall_s, 'workers': ray or where.for_calls(rooms),
        'frames_per_s': totals['steps'] / wall_s,
    }
    emit(result, as_json, _render)


def _check(rooms: int, steps: int, family: str, seed: int, rate: float) -> None:
    from wm_controller.simulation.rooms import FAMILIES

    if not 1 <= rooms <= ROOMS_PER_SEED:
        raise InputError(f'--rooms is {rooms}: use 1 to {ROOMS_PER_SEED}')
    if not 2 <= steps <= 1_000_000:
        raise InputError(f'--steps is {steps}: use 2 to 1000000')
    if family not in FAMILIES:
        raise InputError(f'--family is {family!r}: use {" or ".join(FAMILIES)}')
    if not 0 <= seed <= 2**31:
        raise InputError(f'--seed is {seed}: use 0 to {2**31}')
    if not 1.0 <= rate <= 20.0:
        raise InputError(f'--rate is {rate:g} Hz: use 1 to 20')


def _render(result: Mapping[str, Any]) -> None:
    print(
        f'{result["output"]}: {result["steps"]} steps ({result["hours"]:.1f} h, '
        f'{result["distance_m"]:.0f} m) in {result["episodes"]} episodes and {result["rooms"]} '
        f'{result["family"]} rooms, {result["bytes"] / 1e6:.0f} MB\n'
        f'{result["collisions"]} bumps, {100 * result["contact_share"]:.1f} % of steps in '
        f'contact, {100 * result["reverse_share"]:.0f} % in reverse\n'
        f'{result["frames_per_s"]:.0f} frames/s with {result["workers"]} worker(s)'
    )
