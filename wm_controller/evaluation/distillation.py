# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Teach a network what the planner's search would find: System 2 teaches System 1.

Drives are seen again by a finished model, and the search says what it would have done there. So
whoever drove, and drives of the network itself (`wm evaluate --without search --record`) teach
what it needs most (DAgger: Ross et al., 2011). No simulation is needed for it.
"""

import copy
from dataclasses import dataclass, replace
import hashlib
import json
import math
from pathlib import Path
import time
from typing import Any

import numpy as np
from safetensors import safe_open, SafetensorError
from safetensors.torch import save
import torch
from torch import Tensor

from wm_controller.data.windows import Windows
from wm_controller.errors import InputError
from wm_controller.evaluation.replay import Replay
from wm_controller.files import write_whole
from wm_controller.planning.proposals import Proposer, tell
from wm_controller.training.part import Batch, NoData, Part, PartOptions, Sampler
from wm_controller.world_model.bundle import Bundle, load_bundle
from wm_controller.world_model.proposal import proposal_loss, ProposalHead

WIDTH = 64
SEARCHING = 0.95  # share of the run, from its beginning, in which more plans are searched for
FORGOTTEN = 0.5  # share of each state that the head does not see in training
CHOICE = 0.1     # weight of telling which sequence is the nearest
HELD_OUT_WINDOWS = 12
KEEP_EVERY_S = 60.0


@dataclass(frozen=True)
class ProposalOptions(PartOptions):
    """How to train it."""

    batch: int = 256
    learning_rate: float = 2e-3
    width: int = WIDTH


class ProposalPart(Part):
    """The head `proposal` of a model; one that is there, or in `initial`, is trained further."""

    NAME, PREFIX, TERM = 'proposal', 'proposal.', 'missed'
    window = 48  # frames that are seen again in a row

    def __init__(self, bundle: Bundle, options: ProposalOptions) -> None:
        self.bundle, self.options = bundle, options
        spec = replace(bundle.spec, architecture=replace(
            bundle.spec.architecture, proposal_width=options.width))
        self.head = ProposalHead(spec).to(next(bundle.model.parameters()).device)
        self.module = self.head
        self._teacher: Teacher | None = None
        self.begin_from(bundle, options.initial)

    @property
    def architecture(self) -> dict[str, Any]:
        return {'proposal_width': self.options.width}

    @property
    def identity(self) -> dict[str, Any]:
        return self.architecture

    def sampler(self, windows: Windows) -> Sampler:
        """Draw from what the teacher has said, and ask it more. Raises NoData without odometry.

        By steps, it is asked about one window in each of the first; by minutes, in the first
        share of them.
        """
        options = self.options
        teacher = self._teacher = Teacher(self.bundle, windows, options)

        def sample(iteration: int, generator: torch.Generator) -> Batch:
            if options.steps is None:
                plans = teacher.ask_for(60 * SEARCHING * options.minutes)
            else:
                plans = teacher.ask(min(iteration + 1, math.ceil(SEARCHING * options.steps)))
            drawn = np.random.default_rng([options.seed, 59, iteration]).integers(
                plans, size=options.batch)
            return {name: values[drawn] for name, values in teacher.said.items()}

        return sample

    def loss(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Batch]:
        """How far the nearest sequence is from what the search found, and which that is."""
        # What memory tells generalises sooner than the state does, which alone would let the head
        # learn single drives by heart (dropout: Srivastava et al., 2014).
        state = batch['state']
        known = (torch.rand(state.shape, generator=generator) > FORGOTTEN).to(state)
        knots, scores = self.head(state * known / (1 - FORGOTTEN), batch['situation'])
        missed, choice = proposal_loss(knots, scores, batch['wanted'], self.head.scale)
        return missed + CHOICE * choice, {'missed': missed.detach(), 'choice': choice.detach()}

    def gates(self, held_out: Windows) -> dict[str, Any]:
        """By how much what is proposed costs more than what the search finds: medians, m of way.

        Beside it the floor, what a driver would try first; both on held-out drives.
        """
        try:
            located = _located(held_out)
        except NoData:
            return {}
        chosen = np.random.default_rng([0, 67]).permutation(located)[:HELD_OUT_WINDOWS]
        head = copy.deepcopy(self.head).cpu()
        costs = Replay(load_bundle(self.bundle.path)).compare(
            held_out, chosen.tolist(), Proposer(head))
        costs = costs[np.isfinite(costs[:, 0])]
        if not len(costs):
            return {}
        _, proposed, tried = np.median(costs - costs[:, :1], axis=0)
        # Infinite where more than half break a constraint, which JSON cannot say.
        return {name: float(value) if math.isfinite(value) else None for name, value in (
            ('proposal_excess_m', proposed), ('proposal_floor_excess_m', tried))}

    def record(self, iterations: int) -> dict[str, Any]:
        return {'plans': len(self._teacher) if self._teacher else 0}

    @property
    def kept(self) -> list[Path]:
        return [self._teacher.path] if self._teacher else []


class Teacher:
    """What the search found, window after window: `said` (M, ...), kept in a file on the way."""

    def __init__(self, bundle: Bundle, windows: Windows, options: ProposalOptions) -> None:
        self.path = options.output.with_name(f'{options.output.name}.proposal.plans')
        self.said: Batch = {}
        self._windows, self._options = windows, options
        self._located = _located(windows)
        self._bundle = load_bundle(bundle.path)  # plans are made on the processor
        self._after: list[int] = []  # how many plans there were after each window
        self._taken_s, self._kept_at = 0.0, time.monotonic()
        of = hashlib.sha256(windows.starts.tobytes() + windows.column('pose').tobytes())
        of.update(f'{bundle.digest} {options.seed} {options.mirror}'.encode())
        self._of = of.hexdigest()
        if not options.restart:
            self._read()

    def __len__(self) -> int:
        return len(self.said['wanted']) if self.said else 0

    def ask(self, windows: int) -> int:
        """Be asked about so many windows; how many plans were found in them, at least one.

        Raises NoData where there are none in all windows.
        """
        while len(self._after) < windows or not len(self):
            if len(self._after) > windows + len(self._located):
                raise NoData('in these drives there is nowhere to go (for the proposals)')
            self._ask_once()
        return self._after[windows - 1] or min(filter(None, self._after))

    def ask_for(self, seconds: float) -> int:
        """Be asked about one more window, if all that did not take so many seconds."""
        return self.ask(max(1, len(self._after) + (self._taken_s < seconds)))

    def _ask_once(self) -> None:
        begun = time.monotonic()
        # Each window begins anew, so that a run that was stopped says the same.
        replay, seed = Replay(self._bundle, len(self._after)), self._options.seed
        level, rng = replay.planner(search=True), np.random.default_rng(
            [seed, 71, len(self._after)])
        index, mirror = int(rng.choice(self._located)), self._options.mirror and rng.random() < 0.5
        found = [(moment.state[0], torch.from_numpy(tell(moment.situation, moment.memory)).float(),
                  torch.from_numpy(course.actions).float())
                 for moment in replay.moments(self._windows, index, rng, bool(mirror))
                 if math.isfinite((course := replay.plan(level, moment)).cost)]
        if found:
            new = dict(zip(('state', 'situation', 'wanted'), map(torch.stack, zip(*found))))
            self.said = {name: torch.cat([self.said[name], values]) if self.said else values
                         for name, values in new.items()}
        self._after.append(len(self))
        now = time.monotonic()
        self._taken_s += now - begun
        if now - self._kept_at > KEEP_EVERY_S:
            self._keep()
            self._kept_at = now

    def _keep(self) -> None:
        stands = json.dumps({'of': self._of, 'after': self._after, 'taken_s': self._taken_s})
        write_whole(self.path, save(self.said, {'teacher': stands}), make_folder=True)

    def _read(self) -> None:
        """Go on where a stopped run of this kind was; another's is written over."""
        if not self.path.exists():
            return
        try:
            with safe_open(self.path, framework='pt') as file:
                stands = json.loads((file.metadata() or {}).get('teacher', '{}'))
                if stands.get('of') != self._of:
                    return
                self.said = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, ValueError) as error:
            raise InputError(f'{self.path}: not what the search found in a stopped run ({error}); '
                             'delete it') from error
        self._after, self._taken_s = stands['after'], stands['taken_s']


def _located(windows: Windows) -> np.ndarray:
    """Windows (W,) of which odometry is known; raises NoData where none is."""
    located = np.flatnonzero(windows.complete('pose'))
    if not len(located):
        raise NoData('no drive has odometry, so that nothing can be planned in it (for the '
                     'proposals)')
    return located
