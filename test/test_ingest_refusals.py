# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What `wm ingest` refuses: one line on stderr, exit code 2, and no file."""

import subprocess
import sys

import numpy as np
import pytest

from bag_maker import Drive, drive_bag, Messages, STORE1
from wm_controller.cli.main import run


def test_a_named_topic_must_be_there_and_of_its_type(tmp_path, refusal):
    bag = drive_bag(tmp_path / 'bag', Drive(duration_s=3.0))
    assert '/nope (--image-topic)' in refusal(bag, '--image-topic', '/nope')
    assert 'expected nav_msgs/msg/Odometry' in refusal(bag, '--odom-topic', '/cmd_vel')


def test_a_bag_without_images_is_refused_with_its_topics(tmp_path, refusal):
    messages = Messages()
    for time in np.arange(0, 5, 0.1):
        messages.add_command(1000 + time, 0.1, 0.0)
    line = refusal(messages.write(tmp_path / 'bag'))
    assert 'no image topic' in line and '/cmd_vel (Twist)' in line


def test_a_bag_in_which_nothing_says_what_the_robot_did_is_refused(tmp_path, refusal):
    bag = drive_bag(tmp_path / 'bag', Drive(duration_s=3.0), odometry=False, commands=False)
    line = refusal(bag)
    assert 'neither odometry nor a command topic' in line and "--cmd-topic ''" in line


def test_a_bag_without_messages_is_refused(tmp_path, refusal):
    assert 'no messages at all' in refusal(Messages().write(tmp_path / 'bag'))


# Broken input

def test_what_is_no_bag_is_refused(tmp_path, refusal):
    text, empty, folder = tmp_path / 'a.txt', tmp_path / 'b.mcap', tmp_path / 'folder'
    text.write_text('hello')
    empty.touch()
    folder.mkdir()
    for path, reason in ((tmp_path / 'no', 'no such file'), (text, 'is not a bag'),
                         (empty, 'empty file'), (folder, 'is not a bag')):
        line = refusal(path)
        assert str(path) in line and reason in line


@pytest.mark.parametrize('suffix', ['.mcap', '.db3', '.bag', '.mcap.zstd'])
def test_a_foreign_file_with_the_name_of_a_bag_is_refused(tmp_path, refusal, suffix):
    path = tmp_path / f'x{suffix}'
    path.write_bytes(b'hello world, this is no bag' * 100)
    line = refusal(path)
    assert str(path) in line and ('damaged' in line or 'truncated' in line)


@pytest.mark.parametrize('kind', ['mcap', 'sqlite3', 'ros1'])
@pytest.mark.parametrize('keep', [0.02, 0.5, 0.95])
def test_a_truncated_bag_is_refused_with_its_remedy(tmp_path, refusal, kind, keep):
    if kind == 'ros1':
        path = drive_bag(tmp_path / 'x.bag', Drive(duration_s=3.0), store=STORE1)
        file = path
    else:
        path = drive_bag(tmp_path / 'x', Drive(duration_s=3.0), plugin=kind)
        file = next(p for p in path.iterdir() if p.suffix in ('.mcap', '.db3'))
    content = file.read_bytes()
    file.write_bytes(content[:int(len(content) * keep)])
    line = refusal(path)
    assert str(path) in line and 'copy it again, or repair it' in line


def test_missing_parts_are_named(tmp_path, refusal):
    bag = drive_bag(tmp_path / 'bag', Drive(duration_s=3.0))
    (bag / 'bag.mcap').rename(bag / 'renamed.mcap')
    line = refusal(bag)
    assert '1 of 1 parts of the bag are missing: bag.mcap' in line


def test_damaged_metadata_is_refused(tmp_path, refusal):
    bag = drive_bag(tmp_path / 'bag', Drive(duration_s=3.0))
    for text in ('{', 'other: 1', 'rosbag2_bagfile_information: [1]'):
        (bag / 'metadata.yaml').write_text(text)
        assert 'not the metadata of a rosbag2 bag' in refusal(bag)


def test_one_bad_bag_among_good_ones_stops_before_anything_is_written(tmp_path, refusal):
    good = drive_bag(tmp_path / 'good', Drive(duration_s=3.0))
    assert 'no such file' in refusal(good, tmp_path / 'bad')


def test_a_camera_slower_than_the_steps_is_refused_with_a_rate_that_fits(tmp_path, refusal):
    line = refusal(drive_bag(tmp_path / 'bag', Drive(camera_hz=3.0)))
    assert 'camera has 3 Hz, slower than --rate 5' in line and 'use --rate 2' in line


def test_a_recording_of_only_short_pieces_is_refused(tmp_path, refusal):
    line = refusal(drive_bag(tmp_path / 'bag', Drive(duration_s=1.0)))
    assert 'no episode of at least 10 steps' in line and '--min-steps' in line


@pytest.mark.parametrize('option, value, reason', [
    ('--rate', '0', '--rate is 0, allowed is 0.1 to 100'), ('--size', '96', "--size is '96'"),
    ('--size', '0x72', '--size width is 0'), ('--min-steps', '1', '--min-steps is 1'),
    ('--max-gap', '-1', '--max-gap is -1')])
def test_options_out_of_range_are_refused_with_value_and_range(tmp_path, refusal, option, value,
                                                               reason):
    assert reason in refusal(tmp_path / 'any', option, value)


def test_the_recording_itself_is_never_overwritten(tmp_path, capsys):
    bag = drive_bag(tmp_path / 'bag', Drive(duration_s=3.0)) / 'bag.mcap'
    before = bag.read_bytes()
    assert run(['ingest', str(bag), '-o', str(bag)]) == 2
    assert 'is not a data set' in capsys.readouterr().err
    assert bag.read_bytes() == before


def test_a_full_disk_ends_with_one_line_and_no_file(tmp_path):
    bag = drive_bag(tmp_path / 'bag', Drive(duration_s=5.0))
    script = ('import resource, sys\nfrom wm_controller.cli.main import main\n'
              'resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\nmain()\n')
    out = tmp_path / 'out'
    out.mkdir()
    done = subprocess.run([sys.executable, '-c', script, 'ingest', str(bag), '-o',
                           str(out / 'a.h5')], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stderr.count('\n') == 1, done.stderr
    assert 'cannot be written' in done.stderr and not list(out.iterdir())
