# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Drive a mobile robot by imagining: a learned world model, a planner, hard-wired guardrails."""

__version__ = '0.1.0'
