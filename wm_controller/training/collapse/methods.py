# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Every way to train without collapse, by the name that `wm train --regulariser` takes."""

from wm_controller.errors import InputError
from wm_controller.training.collapse.coding_rate import CodingRate
from wm_controller.training.collapse.contrastive import Contrastive
from wm_controller.training.collapse.distillation import Distillation
from wm_controller.training.collapse.generative import Generative, GenerativeWithAction
from wm_controller.training.collapse.method import Method
from wm_controller.training.collapse.mmcr import MMCR
from wm_controller.training.collapse.sigreg import SIGReg
from wm_controller.training.collapse.vicreg import VICReg

DEFAULT = 'vicreg'
METHODS: dict[str, type[Method]] = {
    'vicreg': VICReg,
    'sigreg': SIGReg,
    'mmcr': MMCR,
    'mcr2': CodingRate,
    'ema': Distillation,
    'contrastive': Contrastive,
    'generative': Generative,
    'generative-action': GenerativeWithAction,
    'none': Method,
}


def method_class(name: str) -> type[Method]:
    """Look a method up; raises InputError that names them all."""
    if name not in METHODS:
        raise InputError(f'no regulariser is called {name!r}: use one of {", ".join(METHODS)}')
    return METHODS[name]
