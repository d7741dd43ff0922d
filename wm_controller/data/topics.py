# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which topics of a recording are the camera, the odometry, the command and the laser."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wm_controller.errors import InputError

IMAGE_TYPES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
ODOMETRY_TYPES = ('nav_msgs/msg/Odometry',)
COMMAND_TYPES = ('geometry_msgs/msg/Twist', 'geometry_msgs/msg/TwistStamped')
CAMERA_INFO_TYPE = 'sensor_msgs/msg/CameraInfo'
SCAN_TYPES = ('sensor_msgs/msg/LaserScan',)
NOT_A_COLOUR_CAMERA = ('depth', 'infra', 'disparity', 'mask', 'segment', 'thermal')


@dataclass(frozen=True)
class Wanted:
    """Topics named by the user; None: find by type, an empty string: do not use."""

    image: str | None = None
    odometry: str | None = None
    command: str | None = None
    scan: str | None = None


@dataclass(frozen=True)
class Chosen:
    """Topics to read; None where the recording has none."""

    image: str
    odometry: str | None
    command: str | None
    scan: str | None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(t for t in (self.image, self.odometry, self.command, self.scan) if t)


def choose(topics: Mapping[str, str], wanted: Wanted, path: Path, hint: str = '') -> Chosen:
    """Pick topics by type and usual name; refuses what is missing or cannot be decided."""
    image = choose_one(topics, wanted.image, IMAGE_TYPES, '--image-topic',
                       ('image_raw', 'image'), path)
    if not image:
        raise InputError(f'{path}: no image topic with messages (sensor_msgs Image or '
                         f'CompressedImage); found {list_topics(topics)}{hint}')
    chosen = Chosen(
        image,
        choose_one(topics, wanted.odometry, ODOMETRY_TYPES, '--odom-topic', ('odom',), path),
        choose_one(topics, wanted.command, COMMAND_TYPES, '--cmd-topic', ('cmd_vel',), path),
        choose_one(topics, wanted.scan, SCAN_TYPES, '--scan-topic', ('scan',), path))
    video_alone = wanted.odometry == '' and wanted.command == ''
    if not chosen.odometry and not chosen.command and not video_alone:
        raise InputError(f'{path}: neither odometry nor a command topic (Twist, TwistStamped), so '
                         f'nothing says what the robot did; found {list_topics(topics)}; for '
                         "video alone pass --odom-topic '' --cmd-topic ''")
    return chosen


def camera_info_topic(topics: Mapping[str, str], image: str) -> str | None:
    """Name the CameraInfo that belongs to an image topic: its sibling."""
    parent = image.rpartition('/')[0]
    for folder in (parent, parent.rpartition('/')[0]):  # /camera/image_raw[/compressed]
        if topics.get(f'{folder}/camera_info') == CAMERA_INFO_TYPE:
            return f'{folder}/camera_info'
    return None


def list_topics(topics: Mapping[str, str], shown: int = 12) -> str:
    """Topics with short type names, for an error message."""
    texts = [f'{name} ({kind.rpartition("/")[2]})' for name, kind in sorted(topics.items())]
    more = f' and {len(texts) - shown} more' if len(texts) > shown else ''
    return ', '.join(texts[:shown]) + more if texts else 'no messages at all'


def choose_one(topics: Mapping[str, str], named: str | None, types: tuple[str, ...], option: str,
               usual: tuple[str, ...], path: Path) -> str | None:
    """Pick a topic of these types: the one named, the only one, or the one with a usual name."""
    if named == '':
        return None
    if named is not None:
        if named not in topics:
            raise InputError(f'{path}: no messages on {named} ({option}); found '
                             f'{list_topics(topics)}')
        if topics[named] not in types:
            raise InputError(f'{path}: {named} ({option}) has type {topics[named]}, expected '
                             f'{" or ".join(types)}')
        return named
    found = [name for name, kind in topics.items()
             if kind in types and not name.endswith('compressedDepth')]
    colour = [n for n in found if not any(word in n.lower() for word in NOT_A_COLOUR_CAMERA)]
    found = colour if types is IMAGE_TYPES else found
    if types is IMAGE_TYPES:  # of one camera, raw pixels are better than compressed ones
        found = [n for n in found if n.rpartition('/')[0] not in found]
    if len(found) > 1:
        likely = [n for n in found if n.rpartition('/')[2] in usual]
        found = likely if len(likely) == 1 else found
    if len(found) > 1:
        raise InputError(f'{path}: several topics could be meant: {", ".join(sorted(found))}; '
                         f'choose one with {option}')
    return found[0] if found else None
