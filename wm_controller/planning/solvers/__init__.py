# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Solvers behind one interface: draw candidates, remove what is forbidden, keep what is best."""

from wm_controller.planning.config import SolverConfig
from wm_controller.planning.solvers.cross_entropy import CrossEntropy
from wm_controller.planning.solvers.path_integral import PathIntegral
from wm_controller.planning.solvers.refinement import Refined
from wm_controller.planning.solvers.search import Search, Solution, Solver

__all__ = ['make_solver', 'Search', 'Solution', 'Solver']


def make_solver(config: SolverConfig) -> Solver:
    """Make the solver that a configuration names."""
    solver: Solver
    if config.method == 'mppi':
        solver = PathIntegral(config)
    else:
        solver = CrossEntropy(config, improved=config.method == 'icem')
    return Refined(solver) if config.refine else solver
