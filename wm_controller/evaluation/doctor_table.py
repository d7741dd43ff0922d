# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Faults planted into a whole running graph, and what `wm doctor` says of each.

The robot is the simulated one, driven by somebody's hands (`fault_commander`), with a man in the
middle of its sensors; the doctor is the command that a user types.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
import json
from pathlib import Path
import subprocess
import sys
import time
from typing import Any

import numpy as np

from wm_controller.errors import InputError
from wm_controller.evaluation.processes import Graph, NodeSpec
from wm_controller.resources import dds_environment, find_config
from wm_controller.simulation.rooms import make_room

HEALTHY = 'healthy'
DRIVEN_S, LOOKED_S = 24.0, 5.0
START_S, FREE_M = 3.0, 0.75
CAMERA_HZ = 15.0
PATIENCE_S = 120.0
TOPICS = ('--image', 'image', '--odom', 'odom', '--scan', 'scan', '--cmd-vel', 'cmd_vel')
PROFILE = 'DEFAULT_PROFILES_FILE'


@dataclass(frozen=True)
class Plant:
    """
    One fault: what was done, and the check that must say `fix`.

    `also`: checks that may say so too, as they follow from it; `or_check`: one that may say so
    instead. `middle`: what the man in the middle does; else parameters of base and operator,
    somebody else beside the operator, or no profile for DDS.
    """

    name: str
    planted: str
    check: str
    seconds: float = DRIVEN_S
    also: tuple[str, ...] = ()
    or_check: str = ''
    middle: str = 'none'
    base: Mapping[str, Any] = field(default_factory=dict)
    operator: Mapping[str, Any] = field(default_factory=dict)
    second: bool = False
    profile: bool = True


PLANTS = (
    Plant(HEALTHY, 'nothing', ''),
    Plant('odom_wrong_frame', 'odometry in the frame map', 'odom_frames', LOOKED_S,
          middle='odom_wrong_frame'),
    Plant('odom_unstamped', 'odometry without stamps', 'odom_stamps', LOOKED_S,
          middle='odom_unstamped'),
    Plant('odom_ahead', 'a base whose clock is 3 s ahead', 'odom_stamps', LOOKED_S,
          middle='odom_ahead'),
    Plant('odom_nan', 'odometry that is not a number', 'odom_numbers', LOOKED_S,
          middle='odom_nan'),
    Plant('odom_jumping', 'a pose that jumps to and fro by a metre', 'odom_pose',
          middle='odom_jumping'),
    Plant('odom_turns_wrong', 'odometry that counts turns to the other side', 'turn_sign',
          middle='odom_turns_wrong'),
    Plant('odom_twist_in_odom_frame', 'a twist in the frame odom', 'odom_twist',
          middle='odom_twist_in_odom_frame'),
    Plant('odom_twist_empty', 'a twist that is always zero', 'odom_twist',
          middle='odom_twist_empty'),
    Plant('odom_half', 'odometry that counts half of the way', 'odom_scale',
          also=('command_ahead',), middle='odom_half'),
    Plant('camera_mirrored', 'a mirrored camera', 'turn_sign', middle='camera_mirrored'),
    Plant('camera_lagging', 'pictures 0.35 s late, stamped when sent', 'image_lag',
          middle='camera_lagging'),
    Plant('camera_frozen', 'one picture for ever, with new stamps', 'image_alive',
          middle='camera_frozen'),
    Plant('camera_black', 'black pictures', 'image_alive', LOOKED_S, middle='camera_black'),
    Plant('camera_wrong_encoding', 'an encoding that nobody reads', 'image_encoding', LOOKED_S,
          middle='camera_wrong_encoding'),
    Plant('camera_silent', 'a camera that is announced and sends nothing', 'image_topic',
          LOOKED_S, base={'camera_muted': True}),
    Plant('image_too_large', '640x480 raw through Fast DDS as it comes', 'image_topic', LOOKED_S,
          or_check='image_rate', base={'image_width': 640, 'image_height': 480}, profile=False),
    Plant('scan_rotated', 'a laser mounted turned by 90 degrees', 'scan_mount',
          middle='scan_rotated'),
    Plant('scan_upside_down', 'a laser upside down', 'turn_sign', middle='scan_upside_down'),
    Plant('scan_body', 'a mast of the robot in the scan', 'scan_body', middle='scan_body'),
    Plant('scan_nan', 'beams that are not a number', 'scan_beams', LOOKED_S, middle='scan_nan'),
    Plant('clock_silent', 'use_sim_time everywhere and a silent /clock', 'odom_stamps', LOOKED_S,
          also=('image_stamps', 'scan_stamps'), middle='clock_stopped'),
    Plant('command_types', 'a base that listens for Twist, an operator who sends TwistStamped',
          'base_listens', LOOKED_S, base={'enable_stamped_cmd_vel': False}),
    Plant('command_best_effort', 'best-effort commands to a base that wants reliable ones', 'qos',
          LOOKED_S, operator={'reliable': False}),
    Plant('two_commanders', 'two nodes that publish cmd_vel', 'cmd_vel_topic', LOOKED_S,
          second=True),
)


def chosen(names: Sequence[str]) -> list[Plant]:
    """The plants of these names, all without one; raises InputError."""
    known = {plant.name: plant for plant in PLANTS}
    for name in names:
        if name not in known:
            raise InputError(f'--only {name}: no such fault; there are {", ".join(known)}')
    return [known[name] for name in names] or list(PLANTS)


@dataclass
class PlantRow:
    """What the doctor said of one fault, seed by seed."""

    plant: Plant
    said: list[str] = field(default_factory=list)  # of the check, without the figures of others
    verdicts: list[str] = field(default_factory=list)
    others: list[list[str]] = field(default_factory=list)  # checks that said fix for no reason

    @property
    def passed(self) -> bool:
        """Whether it was found each time, and nothing else was."""
        wanted = 'ok' if self.plant.name == HEALTHY else 'fix'
        return all(v == wanted for v in self.verdicts) and not any(self.others)

    def as_dict(self) -> dict[str, Any]:
        """The row as `wm benchmark doctor --json` gives it."""
        return {'fault': self.plant.name, 'planted': self.plant.planted,
                'check': self.plant.check, 'verdicts': self.verdicts, 'said': self.said,
                'others': self.others, 'passed': self.passed}


def run_plants(plants: Sequence[Plant], seeds: Sequence[int], folder: Path,
               environment: Mapping[str, str]) -> Iterator[PlantRow]:
    """Plant each fault in the room of each seed; yields a row whenever it has grown."""
    rows = [PlantRow(plant) for plant in plants]
    for seed in seeds:
        for row in rows:
            report = examine_graph(row.plant, seed, folder / f'{row.plant.name}-{seed}',
                                   environment)
            _note(row, report)
            yield row


def _note(row: PlantRow, report: Mapping[str, Any]) -> None:
    fixes = [each for each in report['findings'] if each['verdict'] == 'fix']
    wanted = (row.plant.check, row.plant.or_check)
    found = [each for each in fixes if each['check'] in wanted] or [
        each for each in report['findings'] if each['check'] in wanted]
    row.verdicts.append(found[0]['verdict'] if found else
                        'ok' if row.plant.name == HEALTHY else 'not seen')
    row.said.append(f'{found[0]["seen"]}: {found[0]["advice"]}' if found else '')
    row.others.append([each['check'] for each in fixes
                       if each['check'] not in (*wanted, *row.plant.also)])


def examine_graph(plant: Plant, seed: int, folder: Path,
                  environment: Mapping[str, str]) -> dict[str, Any]:
    """Start a graph with a fault in it, and return what the doctor reports."""
    nodes = _nodes(plant, seed)
    robot = dict(environment)
    if not plant.profile:
        robot = {name: value for name, value in robot.items() if not name.endswith(PROFILE)}
    with Graph(nodes, folder, robot) as graph:
        second = _second(robot) if plant.second else None
        try:
            time.sleep(START_S)
            graph.check()
            done = subprocess.run(
                [sys.executable, '-m', 'wm_controller.cli.main', 'doctor', '--json', '--seconds',
                 str(plant.seconds), '--params-file', str(find_config('robot')), *TOPICS],
                env={**environment, **dds_environment(environment)}, capture_output=True,
                text=True, timeout=PATIENCE_S + plant.seconds)
            graph.check()
        finally:
            if second is not None:
                second.kill()
                second.wait()
    if done.returncode not in (0, 1) or not done.stdout:
        raise InputError(f'wm doctor ended with {done.returncode}: {done.stderr.strip()[-300:]}')
    report: dict[str, Any] = json.loads(done.stdout)
    (folder / 'doctor.json').write_text(json.dumps(report, indent=1), encoding='utf-8')
    return report


def _nodes(plant: Plant, seed: int) -> list[NodeSpec]:
    room = make_room(seed, 'evaluation', people=0)
    start = room.sample_free_pose(np.random.default_rng(seed), FREE_M)
    operator = {'kind': 'survey', 'use_sim_time': True, **plant.operator}
    base = {'room_seed': seed, 'family': 'evaluation', 'people': 0, 'camera_rate': CAMERA_HZ,
            'start_pose': [float(value) for value in start], **plant.base}
    raw = {'image': 'raw/image', 'odom': 'raw/odom', 'scan': 'raw/scan', '/clock': 'raw/clock'}
    return [NodeSpec('fault_commander', operator, None, {'cmd_vel_auto': 'cmd_vel'}),
            NodeSpec('fault_injector', {'fault': plant.middle}),
            NodeSpec('simulator', base, find_config('simulator'), raw)]


def _second(environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    other = NodeSpec('fault_commander', {'kind': 'still', 'rate': 2.0, 'use_sim_time': True},
                     None, {'cmd_vel_auto': 'cmd_vel', '__node': 'forgotten'})
    return subprocess.Popen(other.arguments(), env=dict(environment), stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            start_new_session=True)


BEGIN, END = '<!-- made by wm benchmark doctor -->', '<!-- end of what it made -->'


def as_markdown(rows: Sequence[Mapping[str, Any]], conditions: str) -> str:
    """The table of docs/doctor.md."""
    lines = [BEGIN, conditions, '', '| fault | planted | check | said | what it says | |',
             '|---|---|---|---|---|---|']
    for row in rows:
        others = sorted({name for names in row['others'] for name in names})
        verdict = 'passed' if row['passed'] else f'FAILED {", ".join(others)}'.rstrip()
        lines.append(f'| `{row["fault"]}` | {row["planted"]} | `{row["check"] or "all"}` | '
                     f'{", ".join(row["verdicts"])} | {row["said"][0] if row["said"] else ""} | '
                     f'{verdict} |')
    return '\n'.join([*lines, END])


def with_table(page: str, table: str) -> str:
    """The page with the table in the place of the one it had; raises InputError."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(f'the page lacks {BEGIN} and {END}, between which the table goes')
    return before + table + after
