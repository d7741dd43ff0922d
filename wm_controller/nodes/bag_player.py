# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
Plays a recording as `image` or `image/compressed`, `odom` and `scan`, stamped as of now.

python -m wm_controller.nodes.bag_player --ros-args -p bag:=FOLDER
python -m wm_controller.nodes.bag_player --ros-args -p bag:=FOLDER -p speed:=5.0 -p clock:=true

`ros2 bag play` keeps the stamps of the day of recording, which are far too old to drive by; this
gives each message its stamp anew, keeping the spacing and each sensor's delay. With `clock` it is
the source of `/clock`, for nodes with `use_sim_time`, and may play faster than it was recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
import time

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
import rclpy.utilities
from rosgraph_msgs.msg import Clock as ClockMessage

from wm_controller.errors import InputError
from wm_controller.nodes import qos, runtime
from wm_controller.nodes.conversions import to_stamp
from wm_controller.nodes.recording import play, PLAYED

PERIOD_S = 0.005
START_S = 1.0  # of /clock
LISTENERS_S = 10.0  # to wait for somebody who listens, before playing all the same
SETTLE_S = 1.0  # for the others to be found

PARAMETERS = (
    runtime.Spec('bag', '', 'Recording: a rosbag2 folder, .mcap, .db3 or ROS 1 .bag', fixed=True),
    runtime.Spec('speed', 1.0, 'Recorded seconds per second; other than 1 only with clock', 0.1,
                 50.0, fixed=True),
    runtime.Spec('start', 0.0, 'Where in the recording to start', 0.0, 1e6, unit='s', fixed=True),
    runtime.Spec('duration', 0.0, 'How much to play, 0: all', 0.0, 1e6, unit='s', fixed=True),
    runtime.Spec('clock', False, 'Publish /clock, for nodes with use_sim_time', fixed=True),
)


class BagPlayer(Node):
    """Publishes what is due, every 5 ms, and ends with the recording."""

    def __init__(self) -> None:
        super().__init__('bag_player')
        values = runtime.declare(self, PARAMETERS)
        if not values['bag']:
            raise InputError('parameter bag: name the recording to play')
        if values['speed'] != 1.0 and not values['clock']:
            raise InputError(f"parameter speed = {values['speed']:g}: needs clock: true, as the "
                             'other nodes would measure time at another speed')
        self._speed, self._with_clock = values['speed'], values['clock']
        duration = values['duration'] or float('inf')
        self._messages = play(values['bag'], values['start'], duration)
        self._next = next(self._messages, None)
        if self._next is None:
            raise InputError(f"{values['bag']}: no message in the part to play")
        self._outlets = {topic: self.create_publisher(kind, topic, self._profile(topic))
                         for kind, topic in PLAYED.values()}
        self._clock_outlet = None
        if self._with_clock:
            self._clock_outlet = self.create_publisher(ClockMessage, '/clock', qos.CLOCK)
        self.played: Counter[str] = Counter()
        self._made = time.monotonic()
        self._began: float | None = None
        self.create_timer(PERIOD_S, self._publish_due,
                          clock=Clock(clock_type=ClockType.STEADY_TIME))

    @staticmethod
    def _profile(topic: str) -> QoSProfile:
        return qos.IMAGE if topic.startswith('image') else qos.STATE

    def _begin(self) -> None:
        """Fix when the recording starts, once somebody listens."""
        heard = any(outlet.get_subscription_count() for outlet in self._outlets.values())
        if heard or time.monotonic() - self._made > LISTENERS_S:
            self._began = time.monotonic() + SETTLE_S
            self._zero_s = (
                START_S + SETTLE_S * self._speed if self._with_clock else time.time() + SETTLE_S)

    def _publish_due(self) -> None:
        if self._began is None:
            self._begin()
            return
        at_s = (time.monotonic() - self._began) * self._speed
        if self._clock_outlet is not None:
            self._clock_outlet.publish(ClockMessage(clock=to_stamp(self._zero_s + at_s)))
        while self._next is not None and self._next.due_s <= at_s:
            self.played[self._next.topic] += 1
            self._outlets[self._next.topic].publish(
                self._next.message(self._zero_s + self._next.measured_s))
            self._next = next(self._messages, None)
        if self._next is None:
            counts = ', '.join(f'{count} on {topic}' for topic, count in self.played.items())
            self.get_logger().info(f'played to the end: {counts}')
            rclpy.utilities.try_shutdown()


def main(args: Sequence[str] | None = None) -> None:
    """Play until the end of the recording."""
    runtime.run(BagPlayer, args)


if __name__ == '__main__':
    main()
