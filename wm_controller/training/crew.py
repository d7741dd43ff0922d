# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Many processes that train one model: who does what, and one clock for all.

`torchrun` starts them, on one host or many. A batch is that of all processes together: each takes
its share of the rows, so that how many there are changes how fast a run goes, not what it does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import logging
import os
from typing import Any

from lightning_fabric import Fabric
import torch
from torch import distributed, Tensor

from wm_controller.data.rows import HostCrew
from wm_controller.errors import InputError


@dataclass(frozen=True)
class Share:
    """The rows of each batch that one of `count` processes works on."""

    rank: int = 0
    count: int = 1

    def of(self, values: Any) -> Any:
        """Return this process's rows of values (count * B, ...)."""
        size = len(values) // self.count
        return values[self.rank * size:(self.rank + 1) * size]


WHOLE = Share()


def of_host(fabric: Fabric) -> HostCrew:
    """Return the processes of this host, who share out the work of unpacking frames."""
    local = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
    return HostCrew(fabric.local_rank, local, os.getppid(), fabric.barrier)


def is_first() -> bool:
    """Whether this process is the one that writes, shows and goes on alone after training."""
    return int(os.environ.get('RANK', 0)) == 0


def launch(batch: int) -> Fabric:
    """Meet the others, where there are some; raises InputError for a batch that has no shares."""
    local, world = (int(os.environ.get(name, 1)) for name in ('LOCAL_WORLD_SIZE', 'WORLD_SIZE'))
    if batch % world or batch < 2 * world:
        raise InputError(f'--batch {batch}: the batch of all {world} processes together: use a '
                         f'multiple of {world}, at least {2 * world}')
    logging.getLogger('lightning.fabric').setLevel(logging.WARNING)  # it greets from each process
    fabric = Fabric(accelerator='auto', devices=local, num_nodes=world // local,
                    strategy='ddp' if world > 1 else 'auto')
    fabric.launch()
    return fabric


def agree(fabric: Fabric, identity: dict[str, Any]) -> None:
    """Raise InputError unless all processes train on the same data in the same way."""
    if fabric.world_size == 1:
        return
    found: list[Any] = [None] * fabric.world_size
    distributed.all_gather_object(found, identity)
    for rank, other in enumerate(found):
        for name in identity:
            if other.get(name) != identity[name]:
                raise InputError(f'process {rank} has another {name.replace("_", " ")} than '
                                 f'process {fabric.global_rank}: give every host the same data '
                                 'sets in the same order, and the same options')


def resumed(fabric: Fabric, found: dict[str, Any] | None, optimizer: torch.optim.Optimizer
            ) -> dict[str, Any]:
    """Give all what the first process found in a checkpoint; weights follow with `setup`.

    Returns the progress. The optimiser's moments are brought to the others.
    """
    if fabric.world_size == 1:
        assert found is not None
        return found
    shared: Any = fabric.broadcast((found, optimizer.state_dict()))
    progress, state = shared
    if not fabric.is_global_zero:
        optimizer.load_state_dict(state)
    return dict(progress)


def from_first(fabric: Fabric, values: list[float]) -> list[float]:
    """Return the numbers that the first process has: time must not pass differently."""
    if fabric.world_size == 1:
        return values
    shared = torch.tensor(values, dtype=torch.float64, device=fabric.device)
    distributed.broadcast(shared, 0)
    return [float(each) for each in shared]


def everywhere(rows: Tensor) -> Tensor:
    """Rows (B, ...) of all processes' shares, (count * B, ...), with gradients through them.

    For what is a property of the whole batch, such as its covariance.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return rows
    gathered: Tensor = _Gather.apply(rows)
    return gathered


class _Gather(torch.autograd.Function):
    """All processes' rows; the gradient of one's own is summed over what all made of them."""

    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        total = gradient.contiguous()
        distributed.all_reduce(total)
        share: Tensor = Share(distributed.get_rank(), distributed.get_world_size()).of(total)
        return share


@contextmanager
def together(fabric: Fabric) -> Iterator[None]:
    """Train in this block with the others; where one of them is lost, raise InputError."""
    if fabric.world_size == 1:
        yield
        return
    try:
        yield
    except RuntimeError as error:
        if not _lost(error):
            raise
        raise InputError(f'process {fabric.global_rank} of {fabric.world_size}: another process '
                         'of this training has ended; run the same command again, it resumes'
                         ) from error
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _lost(error: RuntimeError) -> bool:
    said = str(error).lower()
    return isinstance(error, distributed.DistError) or any(
        each in said for each in ('gloo', 'connection closed by peer', 'connection reset', 'nccl'))
