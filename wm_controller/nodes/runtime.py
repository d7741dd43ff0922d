# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
What every node needs around it: described parameters, and an end that still reaches the wheels.

rclpy's own signal handlers invalidate publishers before anything can be said with them, so SIGINT
and SIGTERM are handled here: spinning ends, the node says its last word, then the context goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
import difflib
import gc
import os
from pathlib import Path
import signal
import sys
import traceback
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions

try:
    from rclpy.experimental.events_executor import EventsExecutor
except ImportError:  # Jazzy
    EventsExecutor = None  # type: ignore[assignment]

from wm_controller.errors import InputError
from wm_controller.resources import dds_environment

SPIN_S = 0.1
SIGNALS = (signal.SIGINT, signal.SIGTERM)
WRONG_INPUT, CRASHED = 2, 1


@dataclass(frozen=True)
class Spec:
    """
    One parameter: name, default, description, range or choices, unit.

    `kind` is needed where the default is a list, which then cannot be `fixed`: read once, at the
    start.
    """

    name: str
    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    kind: Parameter.Type | None = None
    unit: str = ''
    fixed: bool = False

    @property
    def type_(self) -> Parameter.Type:
        """Type of the parameter, as ROS knows it."""
        return self.kind or Parameter.Type.from_parameter_value(self.default)

    def allowed(self) -> str:
        """Allowed values, for people."""
        if self.choices:
            return 'one of ' + ', '.join(self.choices)
        if self.low is None or self.high is None:
            return f'of type {self.type_.name.lower()}'
        return f'in [{self.low:g}, {self.high:g}] {self.unit}'.rstrip()

    def descriptor(self) -> ParameterDescriptor:
        """Descriptor, as `ros2 param describe` shows it."""
        unit = f' [{self.unit}]' if self.unit else ''
        described = ParameterDescriptor(
            name=self.name, description=self.description + unit, read_only=self.fixed,
            additional_constraints=self.allowed() if self.choices else '')
        if self.low is not None and self.high is not None:
            if self.type_ == Parameter.Type.INTEGER:
                described.integer_range = [
                    IntegerRange(from_value=int(self.low), to_value=int(self.high), step=0)]
            else:
                described.floating_point_range = [FloatingPointRange(
                    from_value=float(self.low), to_value=float(self.high), step=0.0)]
        return described

    def refusal(self, value: Any) -> str:
        """Line that names parameter, value and what is allowed; empty if the value is."""
        ok = True
        if self.choices:
            ok = value in self.choices
        elif self.low is not None and self.high is not None:
            ok = (isinstance(value, (int, float)) and not isinstance(value, bool)
                  and self.low <= value <= self.high)
        return '' if ok else f'parameter {self.name} = {value!r}: must be {self.allowed()}'


def declare(node: Any, specs: Sequence[Spec]) -> dict[str, Any]:
    """Declare parameters and return their values by name; raise `InputError` for a bad one."""
    by_name = {spec.name: spec for spec in specs}
    for spec in specs:
        given = node._parameter_overrides.get(spec.name)
        if given is not None:
            fitting = _as_declared(spec, given)
            line = spec.refusal(fitting.value)
            if line:
                raise InputError(line)
            node._parameter_overrides[spec.name] = fitting
        try:
            _declare_one(node, spec)
        except ParameterException:
            raise InputError(f'parameter {spec.name} = {given.value!r}: must be '
                             f'{spec.allowed()}' if given else str(spec)) from None

    def refuse(parameters: list[Parameter[Any]]) -> SetParametersResult:
        for parameter in parameters:
            spec = by_name.get(parameter.name)
            line = spec.refusal(parameter.value) if spec else ''
            if line:
                return SetParametersResult(successful=False, reason=line)
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(refuse)
    return values(node, specs)


def values(node: Any, specs: Sequence[Spec]) -> dict[str, Any]:
    """Present values by name; lists come as tuples."""
    found = {spec.name: node.get_parameter(spec.name).value for spec in specs}
    return {name: value if isinstance(value, (str, bool, int, float)) else tuple(value)
            for name, value in found.items()}


def _declare_one(node: Any, spec: Spec) -> None:
    if spec.kind is None:
        node.declare_parameter(spec.name, spec.default, spec.descriptor())
        return
    # rclpy cannot see the type of an empty list: declare the type, then set the value.
    given = node._parameter_overrides.get(spec.name)
    value = spec.default if given is None else given.value
    node.declare_parameter(spec.name, spec.kind, spec.descriptor(), ignore_override=True)
    result, = node.set_parameters([Parameter(spec.name, spec.kind, value)])
    if not result.successful:
        raise InputError(result.reason)


def _as_declared(spec: Spec, given: Parameter[Any]) -> Parameter[Any]:
    """Take `rate: 50` for 50.0, and `footprint: []` for an empty list of numbers."""
    value, type_ = given.value, spec.type_
    if type_ == Parameter.Type.DOUBLE and given.type_ == Parameter.Type.INTEGER:
        return Parameter(spec.name, type_, float(value))
    if type_.name.endswith('_ARRAY') and (value is None or not len(value)):
        return Parameter(spec.name, type_, [])
    if (type_, given.type_) == (Parameter.Type.DOUBLE_ARRAY, Parameter.Type.INTEGER_ARRAY):
        return Parameter(spec.name, type_, [float(number) for number in value])
    return given


def misspelt(node: Any) -> list[str]:
    """Lines about parameters that were given, are unknown, and look like a known one."""
    known = [name for name in node._parameters if name != 'use_sim_time']
    lines = []
    for name in node._parameter_overrides:
        near = difflib.get_close_matches(name, known, 1, 0.7)
        if near and name not in node._parameters:
            lines.append(f'parameter {name} is unknown; did you mean {near[0]}?')
    return lines


def make_executor() -> Any:
    """
    Return the executor of events where rclpy has one (Kilted), else the one of wait sets.

    Both run callbacks in one thread; the one of events does not go through all that a node has at
    every message, for half of the guardrail's processor time. It is new, and cannot call callbacks
    that take a MessageInfo. WM_EXECUTOR=wait_set asks for the other one.
    """
    if EventsExecutor is None or os.environ.get('WM_EXECUTOR') == 'wait_set':
        return SingleThreadedExecutor()
    heard = {number: signal.getsignal(number) for number in SIGNALS}
    executor = EventsExecutor()
    for number, handler in heard.items():  # it took them, and would end the context at once
        signal.signal(number, handler)
    return executor


@contextmanager
def joined() -> Iterator[None]:
    """Be in the graph that the environment names, as a command is; Ctrl-C stays Python's."""
    os.environ.update(dds_environment())
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        yield
    finally:
        rclpy.try_shutdown()


def run(make_node: Callable[[], Any], args: Sequence[str] | None = None) -> None:
    """
    Make a node and spin it until a signal; a refused parameter is one line and exit code 2.

    Before the context goes, the node's `last_word` or, for a lifecycle node, `bring_down` is
    called: publishers still work there.
    """
    ends: list[int] = []

    def on_signal(number: int, _frame: Any) -> None:
        ends.append(number)
        signal.signal(number, signal.SIG_DFL)  # a second one does not wait

    for number in SIGNALS:
        signal.signal(number, on_signal)
    try:
        rclpy.init(args=list(args) if args is not None else None,
                   signal_handler_options=SignalHandlerOptions.NO)
        node = make_node()
    except Exception as error:
        rclpy.try_shutdown()
        if not isinstance(error, InputError) and 'rclpy' not in type(error).__module__:
            raise
        line = ' '.join(str(error).split())
        print(f'{_program()}: {line}', file=sys.stderr)
        sys.exit(WRONG_INPUT)
    for line in misspelt(node):
        node.get_logger().warning(line)
    gc.collect()
    gc.freeze()  # what is loaded stays loaded: no pauses to look through it again
    executor = make_executor()
    executor.add_node(node)
    code = 0
    try:
        while not ends and rclpy.ok():
            executor.spin_once(timeout_sec=SPIN_S)
    except ExternalShutdownException:
        pass
    except Exception:
        traceback.print_exc()
        code = CRASHED
    finally:
        try:
            _say_last_word(node)
        finally:
            executor.shutdown(timeout_sec=1.0)
            node.destroy_node()
            rclpy.try_shutdown()
    if code:
        sys.exit(code)


def _program() -> str:
    spec = getattr(sys.modules.get('__main__'), '__spec__', None)
    return spec.name.rsplit('.', 1)[-1] if spec is not None else Path(sys.argv[0]).stem


def _say_last_word(node: Any) -> None:
    for name in ('last_word', 'bring_down'):
        end = getattr(node, name, None)
        if end is not None and rclpy.ok():
            end()
