# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
import base64
import csv
from dataclasses import replace
import io
import json
import re

import av
import numpy as np
import pytest

from drives import BoxRoom, floor, make_episode
from wm_controller import files
from wm_controller.errors import InputError
from wm_controller.evaluation import figures, report
from wm_controller.evaluation.metrics import summarise
from wm_controller.evaluation.records import Trace
from wm_controller.evaluation.report import Run, write_report
from wm_controller.evaluation.video import film, HEIGHT, WIDTH, write_video

FLOORS = {('evaluation', 7, 0): floor()}


def make_run(episodes, **more):
    summary = summarise(episodes, seed=1, model_digest='0123456789abcdef')
    return Run('Drives', summary, episodes, FLOORS, **more)


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    directory = tmp_path_factory.mktemp('run')
    episodes = [make_episode(0), make_episode(1, arrive=0.5), make_episode(2, collisions=1)]
    write_report(
        directory,
        make_run(
            episodes, comparison={'straight': summarise(episodes[1:2], seed=1, model_digest=None)}
        ),
    )
    return directory


def test_the_page_needs_nothing_from_outside(written):
    page = (written / 'report.html').read_text()
    links = re.findall(r'(?:src|href)="([^"#]*)"', page)
    assert links and all(link.startswith('data:') for link in links)
    assert not re.search(r'https?://(?!www\.w3\.org)', page)
    for data in re.findall(r'data:image/[a-z]+;base64,([A-Za-z0-9+/=]+)', page):
        head = base64.b64decode(data)[:4]
        assert head[:2] == b'\xff\xd8' or head == b'\x89PNG'


def test_the_page_shows_every_part(written):
    page = (written / 'report.html').read_text()
    for part in (
        'Beside the baselines',
        'One drive, closely',
        'What went wrong',
        'Latency',
        'Guardrails',
        'Every drive, worst first',
        'out of time',
        'bumped, arrived',
    ):
        assert part in page
    assert '{{' not in page and 'None' not in page


def test_names_from_outside_cannot_inject_markup():
    page = report.render_html(make_run([make_episode()], command='wm <script>alert(1)</script>'))
    assert '<script>' not in page


def test_summary_and_table_can_be_read_back(written):
    summary = json.loads((written / 'summary.json').read_text())
    assert summary['episodes'] == 3 and summary['model_digest'] == '0123456789abcdef'
    rows = list(csv.DictReader(io.StringIO((written / 'episodes.csv').read_text())))
    assert [row['success'] for row in rows] == ['1', '0', '0']
    assert [row['collisions'] for row in rows] == ['0', '0', '1']
    assert float(rows[0]['shortest_m']) == pytest.approx(make_episode(0).task.shortest_m, abs=1e-3)


def test_worst_first_means_bumps_then_what_was_left_then_detours():
    drives = [
        make_episode(0),
        make_episode(1, arrive=0.5),
        make_episode(2, collisions=1),
        make_episode(3, arrive=0.3),
    ]
    assert [e.task.index for e in report.worst_first(drives)][:3] == [2, 3, 1]


def test_a_strip_spans_the_drive():
    trace = make_episode().trace
    picked = [at for at, _ in report.strip(trace, 5)]
    assert len(picked) == 5
    assert picked[0] == trace.frames[0][0] and picked[-1] == trace.frames[-1][0]


def test_a_run_without_a_single_command_is_still_reported(tmp_path):
    empty = Trace(
        np.zeros(0), np.zeros((0, 3)), np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), ()
    )
    still = replace(
        make_episode(arrive=0.01), trace=empty, commands=0, latencies_s=(), plan_s=(),
        distance_m=0.0, duration_s=0.0, guard_share={})  # fmt: skip
    write_report(tmp_path, make_run([still]))
    assert 'out of time' in (tmp_path / 'report.html').read_text()


def test_no_half_written_file_is_left(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(files.os, 'replace', full)
    with pytest.raises(InputError, match='summary.json: cannot be written: No space left'):
        files.write_whole(tmp_path / 'summary.json', b'{}')
    assert list(tmp_path.iterdir()) == []


def test_two_runs_in_one_second_do_not_share_a_folder(tmp_path):
    folders = {report.run_directory(tmp_path, 'demo') for _ in range(3)}
    assert len(folders) == 3
    assert all(re.match(r'\d{8}T\d{6}Z-demo', folder.name) for folder in folders)


def test_floor_is_solid_where_the_room_is():
    raster, room = floor(), BoxRoom()
    assert raster.x[0] < room.bounds[0] and raster.x[-1] > room.bounds[2]
    column = int(np.argmin(abs(raster.x - 4.5)))
    row = int(np.argmin(abs(raster.y - 1.0)))
    assert raster.distance[row, column] < 0 < raster.distance[row, column - 20]


def test_figures_are_the_same_bytes_for_the_same_drives():
    episode = make_episode()
    assert figures.guard_timeline(episode.trace) == figures.guard_timeline(episode.trace)
    assert figures.drive_map(FLOORS['evaluation', 7, 0], [episode], width_px=300) == (
        figures.drive_map(FLOORS['evaluation', 7, 0], [episode], width_px=300)
    )


def test_the_film_plays_for_as_long_as_the_drives(tmp_path):
    drives = [make_episode(0, arrive=0.15), make_episode(1, arrive=0.1, collisions=1)]
    path = tmp_path / 'drive.mp4'
    assert write_video(path, drives, FLOORS)
    assert [p.name for p in tmp_path.iterdir()] == ['drive.mp4']
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        count = sum(1 for _ in container.decode(video=0))
        assert (stream.width, stream.height) == (WIDTH, HEIGHT)
    driven = sum(len(e.trace.t) for e in drives)
    assert driven <= count <= driven + 2 * (10 + 2)


def test_the_film_shows_the_bump_only_after_it_happened():
    episode = make_episode(1, arrive=0.3, collisions=1)
    pictures = list(film(episode, FLOORS['evaluation', 7, 0], 10, total=1))
    vermilion = [
        np.all(np.abs(p[:480].astype(int) - (213, 94, 0)) < 40, -1).sum() for p in pictures
    ]
    at = int(episode.trace.bumps[0, 0] * 10)
    assert vermilion[at - 3] < 20 < vermilion[at + 3]


def test_no_frames_no_film(tmp_path):
    assert not write_video(tmp_path / 'drive.mp4', [make_episode(with_trace=False)], FLOORS)
    assert list(tmp_path.iterdir()) == []
