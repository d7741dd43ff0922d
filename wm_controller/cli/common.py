# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the verbs of `wm` share: exit codes, JSON or a table, and a progress bar."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
import dataclasses
import functools
import json
import math
import os
from pathlib import Path
import shlex
import sys
from typing import Any, Protocol, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
import typer

from wm_controller.errors import InputError, NegativeResult

EXIT_NEGATIVE = 1
EXIT_INPUT = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT
PIPE_WIDTH = 200
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE, what `wm ... | head` ends with

Function = TypeVar('Function', bound=Callable[..., Any])


class Advance(Protocol):
    """Moves a progress bar on: by `advance`, or to a new `total` or `description`."""

    def __call__(
        self, advance: float = 1, *, total: float | None = None, description: str | None = None
    ) -> None: ...


def reports_errors(verb: Function) -> Function:
    """
    Turn the ways a verb can fail into one line on stderr and an exit code.

    InputError and OSError (a full disk, no permission) end with 2, NegativeResult with 1. Every
    other exception is a fault of ours and keeps its traceback.
    """

    @functools.wraps(verb)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        name = verb.__name__.strip('_').replace('_', '-')
        try:
            return verb(*args, **kwargs)
        except NegativeResult as result:
            complain(name, str(result))
            raise typer.Exit(EXIT_NEGATIVE) from None
        except InputError as error:
            complain(name, str(error))
            raise typer.Exit(EXIT_INPUT) from None
        except BrokenPipeError:
            # The reader left; the interpreter must not complain about it when it flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(EXIT_BROKEN_PIPE) from None
        except OSError as error:
            complain(name, describe_os_error(error))
            raise typer.Exit(EXIT_INPUT) from None
        except KeyboardInterrupt:
            complain(name, 'interrupted')
            raise typer.Exit(EXIT_INTERRUPTED) from None

    return guarded  # type: ignore[return-value]


def complain(verb: str, message: str) -> None:
    """Write one line to stderr, whatever line breaks the message has."""
    line = ' '.join(message.split())
    print(f'wm {verb}: {line}' if verb else f'wm: {line}', file=sys.stderr)


def describe_os_error(error: OSError) -> str:
    """Name the file and the reason, in one line, of an error that the system reported."""
    if error.strerror is None:  # libraries raise OSError with a text of their own
        return str(error) or type(error).__name__
    return f'{error.filename}: {error.strerror}' if error.filename else error.strerror


def emit(
    result: Mapping[str, Any], as_json: bool, render: Callable[[Mapping[str, Any]], Any]
) -> None:
    """
    Print a verb's result on stdout: one JSON object for machines, or what `render` makes of it.

    `render(result)` may print by itself, or return something that rich prints (a table, a text).
    """
    if as_json:
        print(json.dumps(plain(result), allow_nan=False))
        return
    shown = render(result)
    if shown is not None:
        console = Console()
        # A pipe has no width; 80 columns would break lines that a program looks for.
        (console if console.is_terminal else Console(width=PIPE_WIDTH)).print(shown)


def plain(value: Any) -> Any:
    """Reduce arrays, paths, dataclasses to what JSON knows; what is not finite becomes null."""
    if isinstance(value, bool) or value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if hasattr(value, 'tolist'):  # numpy and torch, without importing either
        return plain(value.tolist())
    raise TypeError(f'cannot write {type(value).__name__} as JSON')


@contextmanager
def progress(description: str, total: float | None = None) -> Iterator[Advance]:
    """
    Show a bar on stderr while the block runs, only on a terminal; yields what moves it on.

    >>> with progress('collecting', total=10) as advance:
    ...     advance()
    """
    console = Console(stderr=True)
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        task = bars.add_task(description, total=total)

        def advance(
            advance: float = 1, *, total: float | None = None, description: str | None = None
        ) -> None:
            bars.update(task, advance=advance, total=total, description=description)

        yield advance


class Move(Protocol):
    """Moves a progress bar to a share of the whole, 0..1, perhaps with a new description."""

    def __call__(self, share: float, description: str | None = None) -> None: ...


@contextmanager
def progress_to(description: str) -> Iterator[Move]:
    """As `progress`, for work that says how much of it is done, not what has come to it."""
    with progress(description, total=1000) as advance:
        shown = 0.0

        def move(share: float, description: str | None = None) -> None:
            nonlocal shown
            advance(1000 * share - shown, description=description)
            shown = 1000 * share

        yield move


def figure(value: float | None, digits: int = 0) -> str:
    """Show a figure of a table, a dash where there is none."""
    return '–' if value is None else f'{value:.{digits}f}'


def with_interval(value: Mapping[str, Any], form: str = '.2f') -> str:
    """Show a `mean` with its `ci95`, a dash where there is none."""
    if value['mean'] is None:
        return '–'
    low, high = value['ci95']
    return f'{value["mean"]:{form}} ({low:{form}} to {high:{form}})'


def command_line() -> str:
    """Return what was typed, to be typed again."""
    return shlex.join(['wm', *sys.argv[1:]])
