# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The operator's web panel, without ROS: what it shows, who may use it, the stick's dead-man."""
