"""One system rolled out beside its sequential evaluation: what ``parascan run`` prints, saves and draws."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import parascan as ps

from ..paper.harness.agreement import CHAOTIC_TOLERANCE, horizon
from ..paper.harness.portions import Portion, in_portions
from ._subject import Subject

T = TypeVar("T")

PORTION = 64
"""Updates after which the progress is reported."""


@dataclass(frozen=True)
class Request:
    """A rollout that the command line asked for.

    Attributes:
        subject: what to roll out.
        solver: how to evaluate.
        criterion: when to stop.
        max_iterations: most updates, T when None.
        key: of the start directions of the exponent.
    """

    subject: Subject
    solver: Any
    criterion: Any
    max_iterations: int | None
    key: jax.Array

    @property
    def step(self) -> Any:
        """The step of the subject."""
        return self.subject.call[0]

    @property
    def initial_state(self) -> Any:
        """The initial state of the subject."""
        return self.subject.call[1]

    @property
    def xs(self) -> Any:
        """The inputs of the subject, or None."""
        return self.subject.call[2]


@dataclass(frozen=True)
class Outcome:
    """The results of a requested rollout.

    Attributes:
        lines: lines to print, by name, with units.
        numbers: the same as numbers and words, for other programs; what there is none of is left out.
        arrays: arrays to save: ``states`` and, where there are any, ``inputs`` and ``error``.
        message: why it failed and what to do, empty on success.
    """

    lines: dict[str, str]
    numbers: dict[str, Any]
    arrays: dict[str, np.ndarray]
    message: str


def perform(request: Request, show: Callable[[str], None]) -> Outcome:
    """The rollout, compared with a sequential one unless it is sequential itself, and the exponent.

    Args:
        request: what is asked for.
        show: called with a line on what is going on.
    """
    show("sequential evaluation")
    sequential, sequential_seconds = _timed(
        lambda: ps.rollout(*request.subject.call, solver=ps.Sequential(), throw=False)
    )
    solution, lines, arrays = sequential, {}, {}
    numbers: dict[str, Any] = {"sequential_seconds": sequential_seconds}
    if request.solver.iterates:
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
        stats = solution.stats
        numbers |= {"iterations": portion.updates, "residual": float(stats.residual_norm), "merit": float(stats.merit)}
        numbers |= {"distance": float(np.max(arrays["error"])), "seconds": seconds}
    elif not isinstance(request.solver, ps.Sequential):
        solution, seconds = _timed(lambda: ps.rollout(*request.subject.call, solver=request.solver, throw=False))
        arrays["error"] = _distance(solution.states, sequential.states)
        lines = {
            "distance from sequential": f"{np.max(arrays['error']):.2e}, largest entry, in units of the state",
            "seconds": f"{seconds:.2f}, with compilation",
        }
        numbers |= {"distance": float(np.max(arrays["error"])), "seconds": seconds}
    show("exponent")
    estimate = ps.lyapunov_exponents(*request.subject.call, key=request.key)
    arrays["states"] = flat(solution.states)
    inputs = jax.tree.leaves(request.xs)
    for index, leaf in enumerate(inputs):
        arrays["inputs" if len(inputs) == 1 else f"inputs{index}"] = _plain(leaf)
    message = ps.Result[solution.result]
    lines = {
        "result": "failed" if message else "successful",
        **lines,
        "sequential seconds": f"{sequential_seconds:.2f}, with compilation",
        "exponent": _exponent_line(float(estimate.per_step), request.subject.dt),
        **_horizon_line(float(estimate.per_step), flat(sequential.states), arrays.get("error")),
    }
    per_step, dt = float(estimate.per_step), request.subject.dt
    numbers |= {"successful": not message, "message": message, "exponent_per_step": per_step}
    numbers |= {} if dt is None else {"exponent_per_time": per_step / dt, "dt": dt}
    return Outcome(lines, numbers, arrays, message)


def _in_parallel(request: Request, show: Callable[[str], None]) -> Portion:
    """The rollout by the solver, from the initial state repeated."""
    length = request.subject.length
    start = jax.tree.map(jnp.asarray, request.initial_state)

    def after(portion: Portion) -> None:
        show(f"{portion.updates} updates, merit/T {float(portion.solution.stats.merit):.1e}")

    return in_portions(
        request,
        request.xs,
        length,
        solver=request.solver,
        criterion=request.criterion,
        guess=jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (length, *leaf.shape)), start),
        size=PORTION,
        after=after,
        most=request.max_iterations,
    )


def flat(states: Any) -> Float[np.ndarray, "T D"]:
    """The floating leaves of a trajectory as one row a step.

    Args:
        states: a tree with leading axis T.
    """
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(states) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)


def _plain(leaf: Any) -> np.ndarray:
    """Inputs as numbers, random keys as their data."""
    is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)


def _timed(compute: Callable[[], T]) -> tuple[T, float]:
    """A value and the seconds that it took to compute."""
    started = time.perf_counter()
    value = jax.block_until_ready(compute())
    return value, time.perf_counter() - started


def _distance(states: Any, reference: Any) -> Float[np.ndarray, " T"]:
    """Largest difference of any floating entry at every step."""
    return np.max(np.abs(flat(states) - flat(reference)), axis=1)


def _exponent_line(per_step: float, dt: float | None) -> str:
    """The exponent with its units."""
    return f"{per_step:.4g} per step" + ("" if dt is None else f", {per_step / dt:.4g} per unit of time (dt = {dt:g})")


def _horizon_line(
    exponent: float, states: Float[np.ndarray, "T D"], error: Float[np.ndarray, " T"] | None
) -> dict[str, str]:
    """The step from which any two evaluations differ because they round differently, if that is before the end."""
    unit = float(np.finfo(states.dtype).eps * np.max(np.abs(states)))
    until = horizon(exponent, unit, CHAOTIC_TOLERANCE, len(states)) if np.isfinite(unit * exponent) else len(states)
    if until == len(states):
        return {}
    line = f"step {until}: from there rounding errors, as they grow, exceed {CHAOTIC_TOLERANCE:g}"
    before = "" if error is None else f"; distance before: {np.max(error[:until], initial=0.0):.1e}"
    return {"horizon": line + before}
