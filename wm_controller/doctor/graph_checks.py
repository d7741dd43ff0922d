# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Who speaks and who listens: publishers, types, quality of service, simulated time."""

from collections.abc import Iterator

from wm_controller.doctor.expected import Expected
from wm_controller.doctor.finding import Finding, FIX, NOT_SEEN, OK, WARN
from wm_controller.doctor.record import End, Record, ROLES, STAMPED

NEEDED = {'image': FIX, 'odom': FIX, 'scan': WARN, 'cmd_vel': NOT_SEEN}
"""Verdict where nobody publishes."""


def graph_findings(record: Record, expected: Expected) -> Iterator[Finding]:
    """Look at each topic of the four roles, and at what does not meet."""
    for role in NEEDED:
        if role in record.streams:
            yield _topic(record, role, expected)
    if not record.live:
        return
    if 'cmd_vel' in record.streams:
        yield _listeners(record, expected)
    yield _qos(record)


def _topic(record: Record, role: str, expected: Expected) -> Finding:
    stream, check = record.streams[role], f'{role}_topic'
    needed = FIX if role == 'scan' and expected.scan_required else NEEDED[role]
    if not record.live:
        seen = f'{stream.topic}: {len(stream)} messages'
        return Finding(check, OK if len(stream) else needed, seen if stream.topic else 'none',
                       '' if len(stream) else _absent(role, stream.topic))
    ends = [end for end in record.ends if end.topic == stream.topic and end.publishes]
    names = ', '.join(end.who for end in ends)
    if not ends:
        return Finding(check, needed, f'nobody publishes {stream.topic}',
                       _absent(role, stream.topic))
    wrong = [end for end in ends if end.kind not in ROLES[role]]
    if wrong:
        return Finding(check, FIX, f'{wrong[0].who} publishes {_short(wrong[0])} on '
                       f'{stream.topic}', f'remap {role} to a topic of type '
                       f'{" or ".join(kind.rpartition("/")[2] for kind in ROLES[role])}')
    kinds = sorted({_short(end) for end in ends})
    if len(kinds) > 1:
        return Finding(check, FIX, f'{stream.topic} carries {" and ".join(kinds)} ({names})',
                       'one topic has one type: let all of them publish the same')
    if len(ends) > 1:
        return Finding(check, FIX, f'{len(ends)} publish {stream.topic}: {names}', _crowd(role))
    if not len(stream) and role != 'cmd_vel':
        return Finding(check, FIX, f'{names} announces {stream.topic}, but nothing comes',
                       _silent(role))
    return Finding(check, OK, f'{stream.topic}: {len(stream)} messages of {kinds[0]} from {names}')


def _absent(role: str, topic: str) -> str:
    if role == 'cmd_vel':
        return 'drive the robot by hand while the doctor listens'
    return f'start its driver, or name its topic: --{role.replace("_", "-")} TOPIC, and ' + (
        f'{role}:={topic or "TOPIC"} at the launch')


def _crowd(role: str) -> str:
    if role == 'cmd_vel':
        return ('stop all but one; joystick and navigation should publish cmd_vel_teleop and '
                'cmd_vel_auto, and the guardrail alone cmd_vel')
    return 'two sources interleave: stop one, or remap it to another topic'


def _silent(role: str) -> str:
    if role == 'image':
        return ('if its driver is alive, large images need room in Fast DDS: set '
                'FASTDDS_DEFAULT_PROFILES_FILE to the fastdds.xml in config/ for every node, the '
                'camera too')
    return 'look at what its driver says: it is there and sends nothing'


def _listeners(record: Record, expected: Expected) -> Finding:
    topic = record.streams['cmd_vel'].topic
    ends = [end for end in record.ends if end.topic == topic]
    listeners = [end for end in ends if not end.publishes]
    if not listeners:
        return Finding('base_listens', FIX, f'nobody listens to {topic}', 'start the base driver, '
                       'or name the topic that it listens to: --cmd-vel TOPIC, cmd_vel:=TOPIC')
    heard = {end.kind for end in listeners}
    speak = {end.kind for end in ends if end.publishes}
    who = ', '.join(f'{end.who} ({_short(end)})' for end in listeners)
    if speak and not heard & speak:
        return Finding('base_listens', FIX, f'{topic}: published is {_names(speak)}, listened to '
                       f'is {_names(heard)}', 'a Twist and a TwistStamped never meet: let both '
                       'ends use one (teleop tools have a parameter "stamped")')
    stamped = STAMPED in heard
    if expected.enable_stamped_cmd_vel not in ({True, False} if len(heard) > 1 else {stamped}):
        return Finding('base_listens', FIX, f'the base listens to {_names(heard)}, but '
                       f'enable_stamped_cmd_vel is {str(expected.enable_stamped_cmd_vel).lower()}',
                       f'set enable_stamped_cmd_vel: {str(stamped).lower()}')
    return Finding('base_listens', OK, f'{topic} is heard by {who}')


def _names(kinds: set[str]) -> str:
    return ' and '.join(sorted(kind.rpartition('/')[2] for kind in kinds))


def _short(end: End) -> str:
    return end.kind.rpartition('/')[2]


def _qos(record: Record) -> Finding:
    if not record.deaf:
        return Finding('qos', OK, 'every listener hears every publisher of its topic')
    seen = '; '.join(f'{each.subscriber} never hears {each.publisher} on {each.topic}: '
                     f'{each.reason}' for each in record.deaf)
    return Finding('qos', FIX, seen, 'override one of the two (qos_overrides in its parameters): '
                   'a best-effort publisher wants best-effort listeners, a volatile one volatile')
