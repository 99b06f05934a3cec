"""One system rolled out beside its sequential evaluation: what ``parascan run`` prints, saves and draws."""

import ast
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import parascan as ps

from ..paper._agreement import CHAOTIC_TOLERANCE, horizon
from ..paper._portions import Portion, in_portions

T = TypeVar("T")

PORTION = 64
"""Updates between two looks at the progress."""


@dataclass(frozen=True)
class Request:
    """A rollout that somebody asked for.

    Attributes:
        system: what to roll out.
        xs: its inputs, or None.
        length: number of steps T.
        solver: how to evaluate.
        criterion: when to stop.
        max_iterations: most updates, T when None.
        key: of the start directions of the exponent.
    """

    system: ps.systems.System
    xs: Any
    length: int
    solver: Any
    criterion: Any
    max_iterations: int | None
    key: jax.Array

    @property
    def call(self) -> tuple[Any, Any, Any, int]:
        """The leading arguments of everything that follows a trajectory."""
        return self.system.step, self.system.initial_state, self.xs, self.length


@dataclass(frozen=True)
class Outcome:
    """What came of a request.

    Attributes:
        lines: what to say, by name, with units.
        arrays: what to save: ``states`` and, where there are any, ``inputs`` and ``error``.
        message: why it failed and what to do, empty on success.
    """

    lines: dict[str, str]
    arrays: dict[str, np.ndarray]
    message: str


def build(name: str, settings: Sequence[str], key: jax.Array) -> ps.systems.System:
    """A system by name with settings ``name=value``, and with the key if it needs one.

    Raises:
        TypeError: a parameter is missing or unknown.
        ValueError: an unknown name, or a setting that is none.
    """
    entry = ps.systems.entry(name)
    parameters = dict(map(_setting, settings))
    if "key" in entry.required:
        parameters.setdefault("key", key)
    return ps.systems.get(name, **parameters)


def _setting(text: str) -> tuple[str, Any]:
    """A name and a Python literal."""
    name, _, value = text.partition("=")
    try:
        return name.strip(), ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        raise ValueError(f"--set: given {text!r}, expected NAME=VALUE with a number or a list of numbers.") from None


def perform(request: Request, show: Callable[[str], None]) -> Outcome:
    """The rollout, the sequential one unless it is the same, and the exponent.

    Args:
        request: what is asked for.
        show: called with a line on what is going on.
    """
    show("sequential evaluation")
    sequential, sequential_seconds = _timed(lambda: ps.rollout(*request.call, solver=ps.Sequential(), throw=False))
    solution, lines, arrays = sequential, {}, {}
    if not isinstance(request.solver, ps.Sequential):
        portion, seconds = _timed(lambda: _in_parallel(request, show))
        solution = portion.solution
        arrays["error"] = _distance(solution.states, sequential.states)
        lines = {
            "iterations": f"{portion.updates}",
            "residual": f"{float(solution.stats.residual_norm):.2e}, largest entry, in units of the state",
            "merit/T": f"{float(solution.stats.merit):.2e}, in squared units of the state",
            "distance from sequential": f"{np.max(arrays['error']):.2e}, largest entry, in units of the state",
            "seconds": f"{seconds:.2f}, with compilation and reports",
        }
    show("exponent")
    estimate = ps.lyapunov_exponents(*request.call, key=request.key)
    arrays["states"] = np.asarray(solution.states)
    if request.xs is not None:
        arrays["inputs"] = np.asarray(request.xs)
    message = ps.Result[solution.result]
    lines = {
        "result": "failed" if message else "successful",
        **lines,
        "sequential seconds": f"{sequential_seconds:.2f}, with compilation",
        "exponent": _exponent_line(float(estimate.per_step), request.system.dt),
        **_horizon_line(float(estimate.per_step), np.asarray(sequential.states), arrays.get("error")),
    }
    return Outcome(lines, arrays, message)


def _in_parallel(request: Request, show: Callable[[str], None]) -> Portion:
    """The rollout by the solver, from the initial state repeated."""
    start = request.system.initial_state

    def after(portion: Portion) -> None:
        show(f"{portion.updates} updates, merit/T {float(portion.solution.stats.merit):.1e}")

    return in_portions(
        request.system,
        request.xs,
        request.length,
        solver=request.solver,
        criterion=request.criterion,
        guess=jnp.broadcast_to(start, (request.length, *start.shape)),
        size=PORTION,
        after=after,
        most=request.max_iterations,
    )


def _timed(compute: Callable[[], T]) -> tuple[T, float]:
    """A value and the seconds until it was there."""
    started = time.perf_counter()
    value = jax.block_until_ready(compute())
    return value, time.perf_counter() - started


def _distance(states: Float[Array, "T D"], reference: Float[Array, "T D"]) -> Float[np.ndarray, " T"]:
    """Largest difference of any entry at every step."""
    return np.max(np.abs(np.asarray(states - reference)), axis=1)


def _exponent_line(per_step: float, dt: float | None) -> str:
    """The exponent with its units."""
    return f"{per_step:.4g} per step" + ("" if dt is None else f", {per_step / dt:.4g} per unit of time (dt = {dt:g})")


def _horizon_line(
    exponent: float, states: Float[np.ndarray, "T D"], error: Float[np.ndarray, " T"] | None
) -> dict[str, str]:
    """The step from which any two evaluations part because they round differently, if that is before the end."""
    unit = float(np.finfo(states.dtype).eps * np.max(np.abs(states)))
    until = horizon(exponent, unit, CHAOTIC_TOLERANCE, len(states)) if np.isfinite(unit * exponent) else len(states)
    if until == len(states):
        return {}
    line = f"step {until}: from there rounding errors, as they grow, exceed {CHAOTIC_TOLERANCE:g}"
    before = "" if error is None else f"; distance before: {np.max(error[:until], initial=0.0):.1e}"
    return {"horizon": line + before}
