# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Fault injection: a table of faults over real processes, what each must lead to, a soak."""
