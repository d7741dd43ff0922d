# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Lifecycle base: transitions that log what went wrong instead of swallowing it."""

from __future__ import annotations

from collections.abc import Callable
import traceback
from typing import Any

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from wm_controller.errors import InputError

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR


class ManagedNode(LifecycleNode):
    """
    Lifecycle node whose steps may raise.

    Subclasses write `configure`, `activate`, `deactivate` and `cleanup`. An `InputError` is a
    refusal: one line is logged and the state does not change. Any other exception is logged
    with its traceback and ends in `unconfigured`, cleaned up. rclpy itself hides both.
    """

    refusal: str = ''

    def configure(self) -> None:
        """Load everything; raise `InputError` to refuse."""

    def activate(self) -> None:
        """Start working; publishers are active already."""

    def deactivate(self) -> None:
        """Stop working; publishers are still active, so that a last stop can be sent."""

    def cleanup(self) -> None:
        """Release what `configure` made; called in any state, also half-way through it."""

    @property
    def state_label(self) -> str:
        """The state's name: unconfigured, inactive, active or finalized."""
        return str(self._state_machine.current_state[1])

    def bring_up(self) -> bool:
        """Configure and activate, as a lifecycle manager would; false if either was refused."""
        return (self.trigger_configure() == SUCCESS) and (self.trigger_activate() == SUCCESS)

    def bring_down(self) -> None:
        """Deactivate and clean up from whatever state; for the end of the process."""
        if self.state_label == 'active':
            self.trigger_deactivate()
        if self.state_label == 'inactive':
            self.trigger_cleanup()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run `configure`."""
        def configure() -> None:
            self.refusal = ''
            self.configure()
        result = self._attempt('configure', configure)
        return super().on_configure(state) if result == SUCCESS else result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the publishers, then run `activate`."""
        super().on_activate(state)
        result = self._attempt('activate', self.activate)
        if result != SUCCESS:
            super().on_deactivate(state)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run `deactivate`, then shut the publishers: the stop must still go out."""
        result = self._attempt('deactivate', self.deactivate)
        super().on_deactivate(state)
        return result

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run `cleanup`."""
        return self._attempt('clean up', self.cleanup)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop as `deactivate` does, then clean up."""
        if state.label == 'active':
            self.on_deactivate(state)
        return self._attempt('shut down', self.cleanup)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Return to unconfigured after an exception, whatever was half made."""
        super().on_deactivate(state)
        return self._attempt('recover', self.cleanup)

    def _attempt(self, what: str, step: Callable[[], Any]) -> TransitionCallbackReturn:
        try:
            step()
        except InputError as error:
            self.refusal = str(error)
            self.get_logger().error(f'cannot {what}: {error}')
            return FAILURE
        except Exception as error:
            self.refusal = f'{type(error).__name__}: {error}'
            self.get_logger().error(f'{what} failed: {traceback.format_exc()}')
            return ERROR
        return SUCCESS
