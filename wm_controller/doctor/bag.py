# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A recording as a record, to be examined as a running robot is."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wm_controller.data.bags import Bag
from wm_controller.data.topics import camera_info_topic, choose_one, list_topics
from wm_controller.doctor.record import Record, ROLES
from wm_controller.errors import InputError

USUAL = {'image': ('image_raw', 'image'), 'odom': ('odom',), 'scan': ('scan',),
         'cmd_vel': ('cmd_vel',), 'imu': ('imu', 'data_raw', 'data')}
STATIC = ('/tf_static', 'tf_static')


def read_bag(path: Path, wanted: Mapping[str, str | None], seconds: float | None,
             progress: Callable[[float], Any] | None = None) -> Record:
    """
    Read a bag, the first `seconds` of it (None: all).

    `wanted`: topics by role; None: found by type, an empty text: not looked at. Raises
    InputError where none of the roles is in it.
    """
    with Bag(path) as bag:
        topics = {role: choose_one(bag.topics, wanted.get(role), kinds,
                                   f'--{role.replace("_", "-")}', USUAL[role], path) or ''
                  for role, kinds in ROLES.items()}
        if not any(topics.values()):
            raise InputError(f'{path}: no camera, odometry, laser or command in it; found '
                             f'{list_topics(bag.topics)}')
        absent = [role for role, topic in topics.items() if not topic]
        record = Record({role: topic for role, topic in topics.items()
                         if topic or (wanted.get(role) != '' and role != 'imu')}, live=False)
        record.notes += [f'{role} is not in the bag' for role in absent if role != 'imu']
        for _, message in bag.messages([t for t in STATIC if t in bag.topics]):
            record.frames.add(message.content.transforms)
        info = camera_info_topic(bag.topics, topics['image']) if topics['image'] else None
        if info is not None:
            record.add_camera_info(next(m.content for _, m in bag.messages([info])))
        roles = {topic: role for role, topic in topics.items() if topic}
        begin = None
        for topic, message in bag.messages(list(roles)):
            begin = message.receipt_s if begin is None else begin
            if seconds is not None and message.receipt_s - begin > seconds:
                break
            record.add(roles[topic], message.content, message.receipt_s, message.receipt_s)
            if progress is not None:
                progress(1)
    return record
