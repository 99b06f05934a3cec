"""What a rollout returns."""

import equinox as eqx
from jaxtyping import Array, Bool, Float, Int

from ._certificate import Certificate
from ._results import Result
from ._types import Tree


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
        finite_prefix: number of leading steps whose image under the step is finite; T on success.
        repairs: states put back to the guess because they, or their image, were not finite, summed over iterations.
        settled_prefix: number of leading steps whose residual is zero within rounding: where an unfinished trajectory
            goes wrong.
        improved_at: the iteration that gave the best iterate so far by the criterion's measure: when a trajectory
            stopped getting better. Of a method that is not causal it is the one returned.
        fell_back: whether ``Guarded`` gave its first method up and evaluated one step after the other.
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


class Solution(eqx.Module):
    """The answer of ``rollout``.

    Attributes:
        states: the carry after every step, each leaf with a leading axis T, in the user's structure and dtypes.
        carry: the carry after the last step.
        ys: outputs of a step in ``jax.lax.scan``'s form, else None.
        result: why the rollout stopped.
        stats: iterations, residual and repairs.
        history: one row an iterate, when asked for.
        solver: the solver that ran.
        certificate: bound on the error of the states, when asked for.
    """

    states: Tree
    carry: Tree
    ys: Tree
    result: Result
    stats: Stats
    history: History | None
    solver: eqx.Module
    certificate: Certificate | None = None
