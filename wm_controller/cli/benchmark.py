# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm benchmark NAME`: public and planted benchmarks, one file each (`benchmark_*.py`)."""

import typer

from wm_controller.cli.benchmark_surprise import surprise

benchmark = typer.Typer(help='Measure a bundle on a benchmark.', no_args_is_help=True)
benchmark.command('surprise')(surprise)
