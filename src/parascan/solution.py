"""What comes back from a call: the answer, why it stopped, its statistics, its certificate; and names of array types.

Every room of the package uses these, so nothing here imports another one.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PyTree

State: TypeAlias = Float[Array, " D"]
"""One state as a flat real vector."""

Trajectory: TypeAlias = Float[Array, "T D"]
"""Row k holds the state after step k + 1; the initial state is not a row."""

StepFunction: TypeAlias = Callable[[Any, Any], Any]
"""``(state, x) -> state`` or, as in ``jax.lax.scan``, ``(carry, x) -> (carry, y)``."""

Tree: TypeAlias = PyTree[Any]


class Result(eqx.Enumeration):
    """Outcome of a rollout, usable under jit and vmap; each failure's text names its cause and its cure."""

    successful = ""
    max_iterations_reached = (
        "The rollout used up its iterations before it met its tolerance. Raise max_iterations, start from a better "
        "guess, or use solver=Sequential(): with a positive Lyapunov exponent about one iteration a step is needed."
    )
    stalled = (
        "The iterations stopped improving before the tolerance was met: the working precision or the method allows no "
        "more. Loosen the tolerance, use float64, or use solver=Sequential()."
    )
    diverged = (
        "The iterates ran away from the solution. Use a smaller learning rate, a causal method such as deer(), "
        "or solver=Sequential()."
    )
    nonfinite = (
        "The system itself leaves the finite numbers: its exact trajectory, or one of its inputs, is infinite or NaN. "
        "Check xs and the step function at the step that stats.finite_prefix gives."
    )
    uncertified = (
        "The rollout met its own tolerance, but its states could not be certified to the tolerance asked for: the "
        "bound on their error passes it at the step after certificate.horizon. Raise the tolerance, use float64, "
        "or shorten the rollout: with a positive Lyapunov exponent no trajectory can be known for long."
    )


class Evidence(eqx.Enumeration):
    """What a certificate's bound rests on."""

    correction = "Newton corrections, and rounding pushed along the trajectory"
    singular_value = "the residual over the smallest singular value of its Jacobian"
    derivative = "nothing, as the derivative of the step is not that of its value"
    nothing = "nothing, as no bound holds up to the last step"


class Certificate(eqx.Module):
    """A bound on the distance of a trajectory from the true one, step by step.

    Steps are counted and ordered as ``states`` are, except for ``horizon``, which counts in the order of computation.

    Attributes:
        bound: bound on the Euclidean norm of the error of each state, all its floating entries taken together; infinite
            where none holds ``[T]``.
        overall: largest of ``bound``.
        tolerance: largest error that is allowed.
        horizon: leading steps whose bound is within the tolerance; the next one is the first beyond it.
        certified: whether all steps are within the tolerance.
        correction: largest change of a state by the Newton corrections, the measured part of the bound.
        rounding: largest part of the bound that accounts for rounding within the steps.
        curvature: Kantorovich's h over the steps, at most 1/2 where the bound holds.
        used: what the bound rests on, at the step where it is largest.
        assumptions: what has to be true for the bound to mean anything.
    """

    bound: Float[Array, " T"]
    overall: Float[Array, ""]
    tolerance: Float[Array, ""]
    horizon: Int[Array, ""]
    certified: Bool[Array, ""]
    correction: Float[Array, ""]
    rounding: Float[Array, ""]
    curvature: Float[Array, ""]
    used: Evidence
    assumptions: tuple[str, ...] = eqx.field(static=True)

    def to_dict(self) -> Mapping[str, Any]:
        """Plain numbers, lists and strings, for JSON; an infinite bound is None."""
        names = ("bound", "overall", "tolerance", "correction", "rounding", "curvature")
        numbers = {name: _plain(getattr(self, name)) for name in names}
        return numbers | {
            "horizon": np.asarray(self.horizon).tolist(),
            "certified": np.asarray(self.certified).tolist(),
            "used": Evidence[self.used] if np.ndim(self.certified) == 0 else None,
            "assumptions": list(self.assumptions),
        }

    def __str__(self) -> str:
        certified = np.asarray(self.certified)
        steps = self.bound.shape[-1]
        if certified.ndim:
            return f"{certified.sum()} of {certified.size} trajectories of {steps} steps certified"
        tolerance = f"tolerance {float(self.tolerance):.3g}"
        if certified:
            return (
                f"certified: error at most {float(self.overall):.3g} over {steps} steps ({tolerance}), by "
                f"{Evidence[self.used]}"
            )
        horizon = int(self.horizon)
        return (
            f"not certified: the bound passes the {tolerance} at step {horizon + 1} of {steps}; at most "
            f"{float(self.overall):.3g} overall, by {Evidence[self.used]}"
        )


def _plain(array: Array) -> Any:
    """Numbers as JSON has them: infinite ones are None."""
    values = np.asarray(array, float)
    plain = values.astype(object)
    plain[~np.isfinite(values)] = None
    return plain.tolist()


def _count(value: Any) -> Int[Array, ""]:
    """A count as an array; made with the object, so that importing the package makes none."""
    return jnp.asarray(value, jnp.int32)


def _flag(value: Any) -> Bool[Array, ""]:
    """A flag as an array."""
    return jnp.asarray(value, bool)


class Stats(eqx.Module):
    """Numbers about how an answer was reached.

    Attributes:
        iterations: updates applied up to the returned iterate; published counts, which test an iterate one update
            late, are larger by one. Zero for sequential evaluation.
        residual_norm: largest ``|r_t|`` over steps and entries at the returned iterate, in units of the state.
        merit: ``||r||^2 / (2 T)`` at the returned iterate.
        error_estimate: largest estimated error of a state entry, the size of the next Newton correction; zero
            for sequential evaluation, -1 when the criterion asked for none.
        exact_prefix: number of leading steps whose residual is exactly zero.
        finite_prefix: number of leading steps whose one-step prediction is finite; T on success.
        repairs: states put back to the guess because they, or their one-step predictions, were not finite, summed over
            iterations; of the default, chunks that had not forgotten their starts and were run again step by step.
        settled_prefix: number of leading steps whose residual is zero within rounding: where an unfinished trajectory
            goes wrong.
        improved_at: the iteration that gave the best iterate so far by the criterion's measure: when a trajectory
            stopped getting better. Of a method that is not causal it is the one returned.
        fell_back: whether the first way was given up and all steps were taken one after the other: ``WithFallback``
            whose method had not met its criterion in time, and the default whose chunks did not forget their starts.
        chunks: chunks of the sequence that ran side by side, over all devices; 0 where no answer came from chunks.
        warm_up: steps until the copies in all chunks had forgotten where they started, by the default; 0 where no
            chunks were tried.
        slow: a warning beside the result: on more than 100 steps there were more iterations than a quarter of the
            steps (of the chunks, for ``MultipleShooting``). The answer is right, but nothing is gained by finding it in
            parallel: the system is unpredictable, the tolerance asks for more digits than the step has, or the method
            is unfit.
    """

    iterations: Int[Array, ""]
    residual_norm: Float[Array, ""]
    merit: Float[Array, ""]
    error_estimate: Float[Array, ""]
    exact_prefix: Int[Array, ""]
    finite_prefix: Int[Array, ""]
    repairs: Int[Array, ""]
    settled_prefix: Int[Array, ""]
    improved_at: Int[Array, ""]
    fell_back: Bool[Array, ""]
    chunks: Int[Array, ""] = eqx.field(default=0, converter=_count)
    warm_up: Int[Array, ""] = eqx.field(default=0, converter=_count)
    slow: Bool[Array, ""] = eqx.field(default=False, converter=_flag)


class History(eqx.Module):
    """One row for each iterate tested, the guess being row 0; rows never reached hold NaN or -1.

    Attributes:
        merit: ``||r||^2 / (2 T)`` ``[iterations + 1]``.
        step_norm: largest change of a state entry by the update that left this iterate ``[iterations + 1]``.
        nonfinite: states that had to be repaired in that update ``[iterations + 1]``.
    """

    merit: Float[Array, " I"]
    step_norm: Float[Array, " I"]
    nonfinite: Int[Array, " I"]


class Reason:
    """Why a call took its way. All reasons are equal, so that solutions that differ in them are trees of one structure.

    Args:
        text: a sentence; empty where none is known.
    """

    def __init__(self, text: str = "") -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reason)

    def __hash__(self) -> int:
        return hash(Reason)

    def __repr__(self) -> str:
        return repr(self.text)


class Solution(eqx.Module):
    """The answer of ``rollout``; printed, it says in a few lines how it came about.

    Attributes:
        states: the carry after every step, each leaf with a leading axis T, in the user's structure and dtypes.
        carry: the carry after the last step.
        ys: outputs of a step in ``jax.lax.scan``'s form, else None.
        result: why the rollout stopped.
        stats: iterations, residual and repairs.
        history: one row an iterate, when asked for.
        solver: the solver that ran.
        certificate: bound on the error of the states, when asked for.
        reason: why the call took its way; ``explanation`` has it in its place.
    """

    states: Tree
    carry: Tree
    ys: Tree
    result: Result
    stats: Stats
    history: History | None
    solver: eqx.Module
    certificate: Certificate | None = None
    reason: Reason = eqx.field(static=True, default=Reason())

    @property
    def explanation(self) -> str:
        """Which way the call took and why, in a line each; ``ps.explain`` says beforehand which way it will take.

        Of several sequences it has the least and the largest number. Within ``jit`` or ``vmap`` nothing has run: there
        it says what will be done, without the numbers that are found on the way.
        """
        traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(self.stats))
        way = [f"{_described(self.solver)}, under a transformation: nothing has run yet"] if traced else self._way()
        return "\n".join([*way, f"  why: {self.reason.text}"] if self.reason.text else way)

    def _way(self) -> list[str]:
        """How the answer came about, in lines with numbers."""
        stats, lines = self.stats, []
        if getattr(self.solver, "iterates", True):
            lines.append(
                f"{_described(self.solver)}: iterations {_range(stats.iterations)}, residual "
                f"{_range(stats.residual_norm)}, estimated error {_range(stats.error_estimate)}"
            )
        if bool(jnp.any(stats.chunks > 0)):
            lines.append(f"{_range(stats.chunks)} chunks side by side, warm-up of {_range(stats.warm_up)} steps")
            if bool(jnp.any(stats.repairs > 0)):
                lines.append(f"{_range(stats.repairs)} of them did not forget their starts, and ran again step by step")
        fell_back = np.asarray(stats.fell_back)
        if fell_back.any():
            if lines:
                before = "given up after that, then "
            elif bool(jnp.any(stats.warm_up > 0)):
                steps = f"{_range(stats.warm_up)} steps of warm-up"
                before = f"chunks given up after {steps}, in which they did not forget their starts, then "
            else:
                before = "in spite of the chunks asked for, "
            share = "" if fell_back.all() else f" in {fell_back.sum()} of {fell_back.size} sequences"
            lines.append(f"{before}one step after the other{share} (stats.fell_back)")
        return lines or ["one step after the other"]

    def __str__(self) -> str:
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((self.result, self.stats))):
            return repr(self)
        share = np.asarray(self.result == Result.successful)
        counted = f"{np.sum(share)} of {share.size} successful" if share.ndim else Result[self.result] or "successful"
        lines = [counted, self.explanation]
        if bool(jnp.any(self.stats.slow)):
            lines.append("warning: so many iterations gain nothing over one step after the other (stats.slow)")
        return "\n".join(lines)


def _described(solver: eqx.Module) -> str:
    """A solver in words."""
    return getattr(solver, "described", type(solver).__name__)


def _range(values: Array) -> str:
    """A number, or the least and the largest of a batch."""
    low, high = (f"{float(end):.4g}" for end in (jnp.min(values), jnp.max(values)))
    return low if low == high else f"{low} to {high}"
