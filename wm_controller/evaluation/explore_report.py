# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The page of exploring drives, `explore.html`: frontiers, what was known, and how it was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from wm_controller.evaluation.floor import Floor
from wm_controller.evaluation.records import Episode
from wm_controller.evaluation.report import moments_of, template
from wm_controller.evaluation.tasks import room_of
from wm_controller.files import write_whole


def write_explore_report(folder: Path, drives: Sequence[tuple[Episode, Mapping[str, float]]],
                         command: str) -> Path:
    """Write the page of drives, each with what it saw (`coverage.seen_by`); returns its path."""
    shown = []
    for episode, seen in drives:
        floor = Floor.of(room_of(episode.task))
        shown.append({'episode': episode, 'seen': seen, 'moments': moments_of(floor, episode)})
    page = template('explore.html.j2').render(drives=shown, command=command)
    path = folder / 'explore.html'
    write_whole(path, page.encode())
    return path
