# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A Twist and a TwistStamped on one topic never meet and nothing says so: so this does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

STAMPED, PLAIN = 'geometry_msgs/msg/TwistStamped', 'geometry_msgs/msg/Twist'


def wrong_types(node: Any, stamped: bool) -> Iterator[tuple[str, str]]:
    """Yield topic and line for everybody who speaks another type of command, or past us."""
    for topic in ('cmd_vel_auto', 'cmd_vel_teleop'):
        name = node.resolve_topic_name(topic)
        for end in node.get_publishers_info_by_topic(name):
            if end.topic_type != STAMPED:
                yield topic, (f'{name}: {_who(end)} publishes {_short(end)}, which is not heard '
                              'here: let it publish TwistStamped')
    planners = node.get_publishers_info_by_topic(node.resolve_topic_name('cmd_vel_auto'))
    if len(planners) > 1:
        yield 'cmd_vel_auto', (
            f'{node.resolve_topic_name("cmd_vel_auto")}: {" and ".join(map(_who, planners))} '
            'command at once: stop all but one')
    name = node.resolve_topic_name('cmd_vel')
    ours = STAMPED if stamped else PLAIN
    for end in node.get_subscriptions_info_by_topic(name):
        if end.topic_type != ours:
            yield 'cmd_vel', (
                f'{name}: {_who(end)} listens for {_short(end)} and hears nothing: set '
                f'enable_stamped_cmd_vel to {str(not stamped).lower()}, or that tool to '
                f'{ours.rsplit("/", 1)[-1]}')
    for end in node.get_publishers_info_by_topic(name):
        if end.node_name != node.get_name() or end.node_namespace != node.get_namespace():
            yield 'cmd_vel', (f'{name}: {_who(end)} publishes too, past the guardrail: let it '
                              'publish cmd_vel_auto or cmd_vel_teleop')


def _who(end: Any) -> str:
    return f'{end.node_namespace.rstrip("/")}/{end.node_name}'


def _short(end: Any) -> str:
    return str(end.topic_type).rsplit('/', 1)[-1]
