# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The reference pages that are made from the code, `parameters.md` and `commands.md`.

`make readme` writes them; a test compares.
"""

from collections.abc import Callable, Iterator
import importlib
import os
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NODES = {  # node: the table of its parameters, what it is
    'controller': ('controller_parameters', 'Sees, imagines, plans. A lifecycle node.'),
    'guardrail': ('guardrail_parameters', 'Alone between every command and the wheels.'),
    'panel': ('panel_parameters', "The operator's page."),
    'joystick': ('joystick', 'Commands by a pad.'),
    'recorder': ('recorder', 'Keeps interventions, or the whole drive.'),
    'simulator': ('simulator', 'The simulated robot in its room.'),
}
WIDTH = 100


def parameters() -> str:
    """Tables of every node's parameters, Markdown."""
    lines = [
        '# Parameters', '',
        'Made from the code by `make readme`; do not edit. A value out of its range is refused',
        'with its name, at the start (exit code 2) and while the node runs. What is *fixed* is',
        'read once, at the start. `config/robot.yaml` is a file to begin with; `ros2 param',
        'describe` shows the same of a running node.', '']
    for node, (module, what) in NODES.items():
        table = importlib.import_module(f'wm_controller.nodes.{module}')
        specs = getattr(table, 'PARAMETERS', None) or table.SPECS
        lines += [f'## {node}', '', what, '', '| parameter | default | allowed | meaning |',
                  '|---|---|---|---|']
        for spec in sorted(specs, key=lambda each: each.name):
            fixed = ' *Fixed.*' if spec.fixed else ''
            lines.append(f'| `{spec.name}` | {_default(spec)} | {_allowed(spec)} | '
                         f'{_cell(spec.description)}.{fixed} |')
        lines.append('')
    return '\n'.join(lines)


def _default(spec: Any) -> str:
    value = spec.default
    if isinstance(value, bool):
        return f'`{str(value).lower()}`'
    text = str(value).replace(str(Path.home()), '~')
    return f'`{text}`' if text else 'empty'


def _allowed(spec: Any) -> str:
    if spec.choices:
        return ', '.join(f'`{each}`' for each in spec.choices)
    if spec.low is None or spec.high is None:
        return spec.type_.name.lower().replace('_', ' ')
    return f'{spec.low:g} to {spec.high:g} {spec.unit}'.rstrip()


def _cell(text: str) -> str:
    return text.replace('|', '\\|').rstrip('.')


def commands() -> str:
    """The help of `wm` and of each of its verbs, Markdown."""
    import typer

    from wm_controller.cli.main import build_app, verbs
    app: Any = typer.main.get_command(build_app(verbs()))
    lines = ['# Commands', '',
             'Made from the code by `make readme`; do not edit. Every verb takes `--json`, for',
             'machines, and ends with 0 (done), 1 (the answer is no: a gate failed) or 2 (wrong',
             'input, said in one line).', '']
    for path, command in _walk(app, ('wm',)):
        with command.context_class(
                command, info_name=' '.join(path), terminal_width=WIDTH,
                max_content_width=WIDTH) as context:
            lines += [f'{"#" * min(len(path), 3)}# {" ".join(path)}', '', '```text',
                      *(line.rstrip() for line in command.get_help(context).splitlines()),
                      '```', '']
    return '\n'.join(lines)


def _walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, below in getattr(command, 'commands', {}).items():
        yield from _walk(below, (*path, name))


PAGES: dict[str, Callable[[], str]] = {'parameters.md': parameters, 'commands.md': commands}


if __name__ == '__main__':
    os.environ['TERM'] = 'dumb'
    for name, make in PAGES.items():
        path = HERE / name
        if not path.is_file() or path.read_text() != make():
            path.write_text(make())
            print(f'{path}: written')
