# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""`wm benchmark NAME`: public and planted benchmarks, and ablations; a file each."""

import typer

from wm_controller.cli.benchmark_attack import attack
from wm_controller.cli.benchmark_bands import bands
from wm_controller.cli.benchmark_collapse import collapse
from wm_controller.cli.benchmark_doctor import doctor
from wm_controller.cli.benchmark_explore import explore
from wm_controller.cli.benchmark_finetune import finetune
from wm_controller.cli.benchmark_growth import growth
from wm_controller.cli.benchmark_latent_actions import latent_actions
from wm_controller.cli.benchmark_masked import masked
from wm_controller.cli.benchmark_people import people
from wm_controller.cli.benchmark_ranking import ranking
from wm_controller.cli.benchmark_rival import rival
from wm_controller.cli.benchmark_soak import soak
from wm_controller.cli.benchmark_surprise import surprise
from wm_controller.cli.benchmark_tworoom import tworoom

benchmark = typer.Typer(
    help='Measure a model on a public or planted benchmark, or compare ways to train one. Each '
         'takes --help and --json.', no_args_is_help=True)
for each in (bands, rival, tworoom, surprise, ranking, explore, people, growth, collapse, masked,
             latent_actions, finetune, attack, soak, doctor):
    benchmark.command(each.__name__.replace('_', '-'))(each)
