# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The `wm` command: one verb a file of this folder, imported only when it is asked for."""

from collections.abc import Sequence
import importlib
from importlib.util import find_spec
import sys
from typing import Any

import typer

from wm_controller import __version__
from wm_controller.cli.common import complain, EXIT_INPUT, EXIT_INTERRUPTED

# The order of `wm --help`: from a first drive to data, a model, and looking at it.
ORDER = (
    'demo',
    'collect',
    'ingest',
    'convert',
    'inspect',
    'train',
    'evaluate',
    'report',
    'imagine',
    'bench',
    'benchmark',
    'export',
    'doctor',
    'faults',
)

# typer exports one kind of usage error; its parents are the general ones. Where they live changed
# with typer's releases (newer ones carry their own click), so they are taken from there.
_UsageError: Any = typer.BadParameter.__mro__[1]
_ClickException: Any = typer.BadParameter.__mro__[2]


def verbs() -> list[str]:
    """Name the verbs this version has: those whose file is here."""
    return [name for name in ORDER if find_spec(f'wm_controller.cli.{name}') is not None]


def build_app(names: Sequence[str]) -> typer.Typer:
    """Make the command line of these verbs."""
    app = typer.Typer(
        name='wm',
        help='Train, look at, evaluate and drive with a learned world model.',
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={'help_option_names': ['-h', '--help']},
    )
    app.callback()(_common)
    for name in names:
        module = importlib.import_module(f'wm_controller.cli.{name}')
        verb = getattr(module, name)
        if isinstance(verb, typer.Typer):  # a verb of verbs
            app.add_typer(verb, name=name)
        else:
            app.command(name)(verb)
    return app


def _show_version(asked: bool) -> None:
    if asked:
        print(f'wm_controller {__version__}')
        raise typer.Exit()


def _common(
    version: bool = typer.Option(
        False, '--version', callback=_show_version, is_eager=True, help='Print the version.'
    ),
) -> None:
    """Take the options before the verb."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code (0 done, 1 negative, 2 wrong input)."""
    arguments = list(arguments) or ['--help']
    known = verbs()
    # Only the verb that is asked for is imported; help and a mistyped name need them all.
    verb = arguments[0] if arguments[0] in known else ''
    app = build_app([verb] if verb else known)
    try:
        code = app(arguments, prog_name='wm', standalone_mode=False)
    except _ClickException as error:
        help_of = f'wm {verb} --help' if verb else 'wm --help'
        usage = f' (see {help_of})' if isinstance(error, _UsageError) else ''
        complain(verb, error.format_message().rstrip('.') + usage)
        return EXIT_INPUT
    except (typer.Abort, KeyboardInterrupt):
        complain(verb, 'interrupted')
        return EXIT_INTERRUPTED
    return code if isinstance(code, int) else 0


def main() -> None:
    """Be the `wm` console script."""
    sys.exit(run(sys.argv[1:]))


if __name__ == '__main__':
    main()
