# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The generative special case, for comparison: predict pixels."""

from dataclasses import replace

from wm_controller.errors import InputError
from wm_controller.training.collapse.method import Method
from wm_controller.world_model.spec import Architecture


class Generative(Method):
    """Identity encoder, window of past pixels, no action (LeCun, 2022, section 4.4)."""

    @classmethod
    def architecture(cls, wanted: Architecture) -> Architecture:
        """Return it with the identity encoder and without actions; no encoder may be asked for."""
        if wanted.encoder not in ('conv', 'picture'):
            raise InputError(f'the generative method predicts pixels: leave out the encoder '
                             f'{wanted.encoder!r}, or choose another regulariser')
        return replace(wanted, encoder='picture', action_conditioned=False)


class GenerativeWithAction(Generative):
    """The same, told the actions: what of the difference is due to them."""

    @classmethod
    def architecture(cls, wanted: Architecture) -> Architecture:
        """Return it with the identity encoder."""
        return replace(super().architecture(wanted), action_conditioned=True)
