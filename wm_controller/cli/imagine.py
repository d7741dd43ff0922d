# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm imagine`: drive inside the model, by keyboard or by a list of actions, and film it."""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
import re
import sys
import time
from typing import Any

import typer

from wm_controller.cli.common import emit, progress, reports_errors
from wm_controller.errors import InputError, NegativeResult

RECORDED = 'recorded'
RECORDED_STEPS = 50  # of a recording, unless --steps says otherwise
ACTION = re.compile(r'([-+.\deE]+)\s*,\s*([-+.\deE]+)\s*(?:\*\s*(\d+))?')
MOST_STEPS = 3000


@reports_errors
def imagine(
    bundle: str = typer.Argument(help='Bundle file, or the name of a shipped one.'),
    start: str = typer.Option(
        '7', help='Where to start: the seed of a simulated room, or a data set (.h5).'
    ),
    at: int | None = typer.Option(None, help='Frame of the data set to start from.', min=0),
    family: str = typer.Option('evaluation', help='Rooms: evaluation (held out) or training.'),
    people: int | None = typer.Option(
        None, help='Moving people in the room; default: as the room has.', min=0, max=3
    ),
    actions: str | None = typer.Option(
        None,
        help=f"Instead of the keyboard: 'v,w; v,w*n; ...' in m/s and rad/s, each for one step of "
        f"the model (or n), a file of such, or '{RECORDED}': those of the data set.",
    ),
    steps: int | None = typer.Option(None, help='Steps of the model, at most.', min=1),
    output: Path | None = typer.Option(
        None, '--output', '-o', help='Video (.mp4); default: imagine.mp4 in a new folder of runs.'
    ),
    video: bool = typer.Option(True, '--video/--no-video', help='Film the drive.'),
    as_json: bool = typer.Option(False, '--json', help='Print the figures as JSON.'),
) -> None:
    """
    Drive inside the world model: what is imagined, beside what comes, beside the last frame seen.

    Keys: w or up, s or down, a or left, d or right, space to stand, q to end. With --actions it
    exits with 1 when the imagined pictures are no nearer to what came than the last frame seen.
    """
    if output is not None and output.suffix != '.mp4':
        raise InputError(f'{output}: name the video *.mp4')
    from wm_controller.evaluation.imagined_drive import ImaginedDrive
    from wm_controller.evaluation.mp4 import mp4_writer
    from wm_controller.evaluation.report import run_directory
    from wm_controller.world_model.attach import decoder_of
    from wm_controller.world_model.bundle import load_bundle

    model = load_bundle(bundle)
    decoder_of(model)
    given = None if actions is None else _read_actions(actions)
    if given is None and not sys.stdin.isatty():
        raise InputError("there is no terminal to take keys from: give --actions, such as '0.3,0*5"
                         "; 0.2,0.8*5'")
    begin = _start(model, start, at, family, people)
    drive = ImaginedDrive(model, begin)
    chosen = None if given is None else _chosen(given, begin, model, steps)
    path = None
    with ExitStack() as stack:
        add = None
        if video:
            path = output or run_directory(Path('runs'), 'imagine') / 'imagine.mp4'
            height, width = drive.picture().shape[:2]
            add = stack.enter_context(mp4_writer(path, (width, height), 1.0 / drive.period_s))
            add(drive.picture())
        if chosen is None:
            _by_keyboard(drive, add, steps or MOST_STEPS)
        else:
            with progress('imagining', total=len(chosen)) as advance:
                for v, w in chosen:
                    drive.step(float(v), float(w))
                    if add is not None:
                        add(drive.picture())
                    advance()
    result = {'model': model.path.name, 'model_digest': model.digest, **drive.result(),
              'video': None if path is None else str(path)}
    emit(result, as_json, _text)
    truth = result['truth']
    if given is not None and truth is not None and not truth['nearer_than_last_frame']:
        raise NegativeResult(
            f'imagined pictures are no nearer to what came (PSNR {truth["psnr_db_imagined"]} dB) '
            f'than the last frame seen ({truth["psnr_db_last_frame"]} dB)')


def _read_actions(text: str) -> list[tuple[float, float]] | None:
    """Parse actions, or a file of them; an empty list means those of the recording."""
    if text.strip() == RECORDED:
        return []
    path = Path(text)
    name = '--actions'
    if text.strip() and len(text) < 4096 and path.is_file():
        name = str(path)
        try:
            text = path.read_text(encoding='utf-8')
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f'{path}: cannot be read as a text of actions ({error})') from None
    parsed: list[tuple[float, float]] = []
    for part in re.split(r'[;\n]', re.sub(r'#.*', '', text)):
        if not part.strip():
            continue
        match = ACTION.fullmatch(part.strip())
        try:
            assert match is not None
            count = int(match[3] or 1)
            action = float(match[1]), float(match[2])
        except (AssertionError, ValueError):
            raise InputError(f"{name}: '{part.strip()}' is no action: write v,w or v,w*n, "
                             'separated by ; or lines, or name a file') from None
        if len(parsed) + count > MOST_STEPS:
            raise InputError(f'{name}: more than {MOST_STEPS} steps')
        parsed += [action] * count
    if not parsed:
        raise InputError(f'{name}: no action in it')
    return parsed


def _start(model: Any, start: str, at: int | None, family: str, people: int | None) -> Any:
    from wm_controller.evaluation.learned_start import start_in_recording, start_in_room

    if start.isdigit():
        if at is not None:
            raise InputError(f'--at names a frame of a data set, and --start {start} is a room')
        return start_in_room(model, int(start), family, people)
    if Path(start).suffix != '.h5':
        raise InputError(f'--start {start}: give the seed of a room, or a data set (.h5)')
    return start_in_recording(model, Path(start), at)


def _chosen(given: list[tuple[float, float]], begin: Any, model: Any, steps: int | None) -> Any:
    """Actions (N, 2) to take."""
    from wm_controller.evaluation.learned_world import check_actions

    if given:
        return check_actions(given, model)[:steps]
    if begin.recorded is None:
        raise InputError(f'--actions {RECORDED}: {begin.name} is no recording; start from a '
                         'data set')
    # A recording may hold commands a little beyond the limits: they are what was done.
    return begin.recorded.actions[:steps or RECORDED_STEPS]


def _by_keyboard(drive: Any, add: Any, most: int) -> None:
    """Drive in real time until q, Ctrl-C or the last step; what was driven is kept."""
    from wm_controller.cli.imagine_screen import Keyboard, open_screen

    with suppress(KeyboardInterrupt), Keyboard() as keyboard, open_screen(
            drive.picture()) as screen:
        due = time.monotonic()
        for v, w in _commands(keyboard, screen, drive.bundle.spec.action_limits, most):
            drive.step(v, w)
            picture = drive.picture()
            screen.show(picture)
            if add is not None:
                add(picture)
            due = max(due + drive.period_s, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))


def _commands(keyboard: Any, screen: Any, limits: tuple[float, float, float], most: int
              ) -> Iterator[tuple[float, float]]:
    """Yield one command a step, as the keys since the last step change it."""
    from wm_controller.cli.imagine_screen import steer

    command = (0.0, 0.0)
    for _ in range(most):
        for key in [*keyboard.pressed(), *screen.pressed()]:
            if key == 'q':
                return
            command = steer(command, key, limits)
        yield command


def _text(result: Any) -> str:
    x, y, yaw = result['pose']
    lines = [f'{result["start"]}: {result["steps"]} steps, {result["seconds"]:g} s imagined, to '
             f'{x:+.2f} {y:+.2f} m, {yaw:+.2f} rad']
    truth = result['truth']
    if truth is not None:
        lines.append(f'beside what came, {truth["steps"]} steps: PSNR '
                     f'{truth["psnr_db_imagined"]} dB, last frame seen '
                     f'{truth["psnr_db_last_frame"]} dB')
        if 'position_error_m' in truth:
            lines.append(f'position error {truth["position_error_m"]:.2f} m, of standing still '
                         f'{truth["position_error_of_standing_m"]:.2f} m')
    if result['video']:
        lines.append(f'video: {result["video"]}')
    return '\n'.join(lines)
