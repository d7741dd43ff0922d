# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Quality of service by kind of topic, written once."""

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

BEST_EFFORT = ReliabilityPolicy.BEST_EFFORT

IMAGE = QoSProfile(depth=1, reliability=BEST_EFFORT)
"""Newest image only; hears reliable and best-effort cameras."""

SENSOR = QoSProfile(depth=5, reliability=BEST_EFFORT)
"""Odometry, scans."""

CLOCK = QoSProfile(depth=1, reliability=BEST_EFFORT)
"""Simulated time, as rclpy subscribes to it."""

COMMAND = QoSProfile(depth=1)
"""Newest command only, reliable."""

STATE = QoSProfile(depth=10)
"""What must not be missed while it is followed: reliable."""

STATUS = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""Last status also for those who come later."""
