# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a robot's topics: checks over recorded series, without ROS."""
