# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What each message must be like: rate, gaps, stamps, frames, finite numbers."""

from collections.abc import Iterator

import numpy as np

from wm_controller.doctor.expected import Expected
from wm_controller.doctor.finding import Finding, FIX, OK, WARN, worst
from wm_controller.doctor.record import Record, Stream

LEAST_HZ = {'odom': 10.0, 'scan': 4.0}
SOME_SHARE, MANY_SHARE = 0.01, 0.05  # of messages, or of the time
FUTURE_S = 0.1  # what the guardrail refuses
OTHER_CLOCK_S = 1000.0
FEW_S = 2.0  # in which less than three messages are too few
ROOM_BYTES = 500_000  # of Fast DDS's shared memory as it comes
BASE_FRAMES = ('base_link', 'base_footprint')


def message_findings(record: Record, expected: Expected) -> Iterator[Finding]:
    """Look at the messages of camera, odometry and laser."""
    timeouts = {'image': min(expected.image_timeout_s, expected.auto_timeout_s),
                'odom': expected.sensor_timeout_s, 'scan': expected.sensor_timeout_s}
    for role, timeout_s in timeouts.items():
        stream = record.stream(role)
        if stream is None:
            continue
        least = LEAST_HZ.get(role, expected.image_rate_hz)
        if len(stream) >= 3 or _span_s(record) > FEW_S:
            yield _rate(role, stream, least, timeout_s)
        yield _stamps(record, role, stream, timeout_s)
        yield _content(role, stream)
    if record.stream('odom') is not None:
        yield _odometry_frames(record.streams['odom'], expected)
    if record.stream('scan') is not None:
        yield _scan_frame(record, record.streams['scan'], expected)


def _span_s(record: Record) -> float:
    ends = [(stream.wall[0], stream.wall[-1]) for stream in record.streams.values() if len(stream)]
    return max(last for _, last in ends) - min(first for first, _ in ends)


def _rate(role: str, stream: Stream, least_hz: float, timeout_s: float) -> Finding:
    times = np.sort(stream.times())
    gaps = np.diff(times) if len(stream) > 1 else np.array([np.inf])
    span = float(times[-1] - times[0])
    rate = (len(stream) - 1) / span if span > 0 else float('nan')
    gap_limit = max(timeout_s, 2.5 / least_hz)
    long = gaps[gaps > gap_limit]
    seen = f'{rate:.1f} Hz, longest gap {gaps.max():.2f} s'
    large = '' if stream.largest <= ROOM_BYTES else (
        f'; images of {stream.largest / 1e6:.1f} MB lose their way in Fast DDS as it comes: set '
        'FASTDDS_DEFAULT_PROFILES_FILE to the fastdds.xml in config/ for every node, or use '
        'compressed images')
    seen = seen if len(stream) > 2 else f'{len(stream)} messages in all'
    advice, verdict = worst({
        f'at least {least_hz:g} Hz are needed: raise the rate of its driver{large}':
            FIX if len(stream) < 3 or not rate > 0.9 * least_hz else OK,
        f'{long.size} gaps over {gap_limit:.2g} s, after each of which the robot brakes: look at '
        'the load of the machine and the network': WARN if long.size else OK})
    return Finding(f'{role}_rate', verdict, seen, advice,
                   {'rate_hz': rate, 'longest_gap_s': float(gaps.max()), 'gaps': long.size})


def _stamps(record: Record, role: str, stream: Stream, timeout_s: float) -> Finding:
    stamps, receipt = np.asarray(stream.stamp), np.asarray(stream.receipt)
    check = f'{role}_stamps'
    zero = float((stamps <= 0).mean())
    if zero > 0:
        return Finding(check, FIX, f'{zero:.0%} of the stamps are zero', 'let the driver stamp '
                       'each message with the time it was measured; without, its age is unknown')
    age = receipt - stamps
    typical, late = float(np.median(age)), float(np.quantile(age, 0.95))
    step = np.diff(stamps)
    back, same = float((step < 0).mean()), float((step == 0).mean())
    seen = f'{typical:.3f} s old on arrival (95 %: {late:.3f})'
    figures = {'age_s': typical, 'age_95_s': late, 'backwards': back, 'repeated': same}
    wall_age = float(np.median(np.asarray(stream.wall) - stamps))
    verdicts: dict[str, str] = {}
    if abs(typical) > OTHER_CLOCK_S:
        seen = f'stamps are {abs(typical):.0f} s {"behind" if typical > 0 else "ahead of"} the ' \
            'clock of the other nodes'
        verdicts[_other_clock(record, wall_age)] = FIX
    elif typical < -FUTURE_S:
        verdicts[f'stamps lie {-typical:.2f} s in the future: synchronise the clocks of the '
                 'machines (chrony)'] = FIX
    elif typical > timeout_s:
        verdicts[f'older than the {timeout_s:g} s after which it counts for nothing: ' + (
            'synchronise the clocks of the machines (chrony), or look for what queues it up'
            if late - typical < 0.2 * typical else 'look for what queues it up: depth of queues, '
            'network, load')] = FIX
    elif typical > 0.5 * timeout_s:
        verdicts[f'more than half of the {timeout_s:g} s after which it counts for nothing: '
                 'shorten its way (compression, depth of queues, network)'] = WARN
    verdicts[f'{back:.0%} of the stamps go back in time: two sources on one topic, or messages '
             'out of order'] = FIX if back > SOME_SHARE else WARN if back else OK
    verdicts[f'{same:.0%} of the stamps are those of the message before: stamp each measurement '
             'anew'] = FIX if same > MANY_SHARE else WARN if same > SOME_SHARE else OK
    advice, verdict = worst(verdicts)
    return Finding(check, verdict, seen, advice, figures)


def _other_clock(record: Record, wall_age: float) -> str:
    if record.clock_heard:
        if abs(wall_age) < OTHER_CLOCK_S:
            return ('there is a /clock, but it is stamped by the wall: set use_sim_time in its '
                    'driver')
        return 'it follows neither /clock nor the wall: let it use one of them'
    if record.clock_publishers:
        return '/clock is announced and silent: start the simulator or the bag that drives it'
    return ('stamps of a simulated or recorded clock that nobody publishes: publish /clock and '
            'set use_sim_time everywhere, or stamp by the wall')


def _content(role: str, stream: Stream) -> Finding:
    count = sum(stream.unusable.values())
    name = 'encoding' if role == 'image' else 'numbers'
    if count == 0:
        forms = ', '.join(stream.forms) or 'all finite'
        if len(stream.forms) > 1:
            return Finding(f'{role}_{name}', FIX, f'changes: {forms}', 'two cameras share one '
                           'topic, or the driver changes its mode: one size and encoding')
        return Finding(f'{role}_{name}', OK, forms)
    reason, _ = stream.unusable.most_common(1)[0]
    advice = ('let the camera publish rgb8, bgr8, mono8 or what README names, or remap image to '
              'a topic that has it') if role == 'image' else 'look for the source of NaN in its ' \
        'driver; such messages are dropped'
    return Finding(f'{role}_{name}', FIX, f'{count} of {len(stream)} messages cannot be used: '
                   f'{reason}', advice, {'unusable': count})


def _odometry_frames(stream: Stream, expected: Expected) -> Finding:
    frames, children = list(stream.frames), list(stream.children)
    seen = f'{" and ".join(map(repr, frames))} to {" and ".join(map(repr, children))}'
    if len(frames) > 1 or len(children) > 1:
        return Finding('odom_frames', FIX, seen, 'frames change: two sources on one topic?')
    frame, child, base = frames[0], children[0], expected.base_frame
    advice, verdict = worst({
        f"odom_frame is '{expected.odom_frame}': set the parameter odom_frame to '{frame}', or "
        "the driver's frame": FIX if frame != expected.odom_frame else OK,
        f"base_frame is '{base}': set the parameter base_frame to '{child}', or the driver's "
        'child_frame_id': FIX if child != base and not (
            child in BASE_FRAMES and base in BASE_FRAMES) else OK})
    return Finding('odom_frames', verdict, seen, advice)


def _scan_frame(record: Record, stream: Stream, expected: Expected) -> Finding:
    frames = list(stream.frames)
    if len(frames) > 1 or not frames[0]:
        return Finding('scan_frame', FIX, ' and '.join(map(repr, frames)), 'a scan needs one '
                       'frame_id that is not empty: set it in the driver of the laser')
    frame = frames[0]
    if frame in (*BASE_FRAMES, expected.base_frame):
        return Finding('scan_frame', OK, f"'{frame}'")
    if record.frames.to_base(frame) is not None:
        return Finding('scan_frame', OK, f"'{frame}', placed by tf")
    return Finding('scan_frame', WARN if not any(
        (expected.scan_x, expected.scan_y, expected.scan_yaw)) else OK,
        f"'{frame}', no transform to the base heard", 'publish its transform (robot_state_'
        'publisher, static_transform_publisher), or without tf set scan_x, scan_y, scan_yaw')
