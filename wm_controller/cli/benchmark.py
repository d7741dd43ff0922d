# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm benchmark NAME`: public and planted benchmarks, one file each (`benchmark_*.py`)."""

import typer

from wm_controller.cli.benchmark_surprise import surprise

benchmark = typer.Typer(help='Measure a bundle on a benchmark; each takes --help and --json.')
benchmark.command('surprise')(surprise)
