# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Spread independent calls over processes of this machine, or over a cluster with Ray."""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
import logging
import multiprocessing
import os
import signal
import socket
import threading
from typing import Any, TypeVar

from wm_controller.errors import InputError

# One thread each: so many processes as cores need no more, and a plan's processor time must not
# hide that it needs the whole machine. Before a child loads its libraries.
ONE_THREAD = {'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1',
              'LP_NUM_THREADS': '1'}
MOST_WORKERS = 1024
CONNECT_S = 5.0
LOCAL = 'local'
RAY_HELP = ('Spread over a Ray cluster: its address, `auto` for the one of this machine, `local` '
            'for one of its own.')

Result = TypeVar('Result')
Submit = Callable[..., 'Future[Any]']


@dataclass(frozen=True)
class Workers:
    """Where calls run: so many processes here (0: one a core), or a Ray cluster by its address.

    `here`: with one process, in this one.
    """

    count: int = 0
    ray: str | None = None
    here: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.count <= MOST_WORKERS:
            raise InputError(f'--workers is {self.count}: use 1 to {MOST_WORKERS}, 0: one a core')

    def for_calls(self, calls: int) -> int:
        """How many processes of this machine serve so many calls."""
        return max(1, min(self.count or available_cores(), calls))


def available_cores() -> int:
    """Cores this process may use, which containers often make fewer than the machine has."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def spread(function: Callable[..., Result], calls: Iterable[tuple[Any, ...]],
           workers: Workers = Workers(), in_order: bool = False
           ) -> Generator[tuple[int, Result], None, None]:
    """Call `function(*call)` for each call elsewhere; yield (number, result) as they end.

    `in_order`: by number instead. Few calls are under way or held back at once, so that results
    do not pile up before a slow reader. What a call raises is raised here; InputError too where a
    process was ended from outside. Close the generator to end all that is still under way.
    """
    calls = list(calls)
    if not calls:
        return
    processes = workers.for_calls(len(calls))
    if workers.ray is None and processes == 1 and workers.here:
        yield from ((number, function(*call)) for number, call in enumerate(calls))
        return
    where = _ray(workers) if workers.ray is not None else _pool(processes)
    with where as (submit, width):
        numbers: dict[Future[Any], int] = {}
        held: dict[int, Result] = {}
        following = 0
        for number, call in [*enumerate(calls), (len(calls), None)]:
            if call is not None:
                numbers[submit(function, *call)] = number
            while numbers and (call is None or len(numbers) + len(held) > 2 * width):
                for done in wait(numbers, return_when=FIRST_COMPLETED).done:
                    held[numbers.pop(done)] = done.result()
                ready = [following] if in_order else list(held)
                while ready and ready[0] in held:
                    yield ready[0], held.pop(ready[0])
                    following += 1
                    ready = [following] if in_order else ready[1:]


@contextmanager
def _pool(processes: int) -> Iterator[tuple[Submit, int]]:
    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)
    # Spawned, not forked: torch and the renderer do not survive a fork.
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context('spawn'), _begin)
    try:
        yield pool.submit, processes
    except BrokenProcessPool:
        raise InputError('a worker was ended from outside, out of memory perhaps: use fewer '
                         '--workers') from None
    finally:
        # After an error or Ctrl-C nothing is worth waiting for.
        started = list((getattr(pool, '_processes', None) or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for child in started:
            child.terminate()


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # die silently with the terminal's Ctrl-C
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # nobody waits for the result any more


def _answers(address: str) -> bool:
    """Whether somebody listens at host:port; Ray itself asks for minutes, and aloud."""
    host, _, port = address.rpartition('://')[2].rpartition(':')
    try:
        socket.create_connection((host.strip('[]'), int(port)), CONNECT_S).close()
    except (OSError, ValueError):
        return False
    return True


@contextmanager
def _ray(workers: Workers) -> Iterator[tuple[Submit, int]]:
    try:
        import ray
    except ImportError:
        raise InputError("--ray needs Ray: pip install 'wm_controller[cluster]', on every host of "
                         'the cluster') from None
    own = workers.ray == LOCAL
    nowhere = ('start one with `ray start --head` and name it by address:port, or use --ray '
               'local')
    if not own and ':' in str(workers.ray) and not _answers(str(workers.ray)):
        raise InputError(f'--ray {workers.ray}: no cluster answers there: {nowhere}')
    try:
        ray.init(address=workers.ray, log_to_driver=False, logging_level=logging.ERROR,
                 include_dashboard=False if own else None,
                 num_cpus=workers.for_calls(MOST_WORKERS) if own else None,
                 runtime_env={'env_vars': ONE_THREAD})
    except Exception as error:  # Ray has no class for it
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f'--ray {workers.ray}: did not start: {reason}' if own else
                         f'--ray {workers.ray}: no cluster to work with ({reason}): {nowhere}; '
                         'one that asks for a token needs RAY_AUTH_MODE=token and the file '
                         '~/.ray/auth_token of its first host') from error
    remotes: dict[Any, Any] = {}

    def submit(function: Callable[..., Any], *call: Any) -> 'Future[Any]':
        if function not in remotes:
            remotes[function] = ray.remote(num_cpus=1)(function)
        future: Future[Any] = remotes[function].remote(*call).future()
        return future

    try:
        width = int(ray.cluster_resources().get('CPU', 1))
        yield submit, min(width, workers.count) if workers.count else width
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, Exception):
            raise cause from None
        raise
    except ray.exceptions.RayError as error:
        raise InputError(f'the cluster lost a call ({str(error).splitlines()[0]}): look at `ray '
                         'status`, or use fewer --workers') from None
    finally:
        ray.shutdown()
