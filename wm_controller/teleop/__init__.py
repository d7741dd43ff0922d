# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
