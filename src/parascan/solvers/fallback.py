"""The way back for a method that did not keep its promise: the plain loop, run only where it is needed."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..chunked import merged
from ..problem.flat_recurrence import Recurrence
from ..solution import Result, Tree
from .iterate import LoopState


def fall_back(outcome: LoopState, recurrence: Recurrence) -> LoopState:
    """The outcome of a method, or the sequential trajectory where it had not met its criterion in time.

    A system that leaves the finite numbers does so whatever the method, and is not run again.

    Args:
        outcome: of the first method.
        recurrence: what it solved, every step of it.
    """
    failed = (outcome.result != Result.successful) & (outcome.result != Result.nonfinite)
    states = _where_needed(failed[None], *jax.tree.map(lambda leaf: leaf[None], (recurrence, outcome.states)))[0]
    finite = jnp.all(jnp.isfinite(states), axis=1)
    prefix = jnp.where(jnp.all(finite), len(finite), jnp.argmin(finite)).astype(jnp.int32)
    result = Result.where(prefix == len(finite), Result.successful, Result.nonfinite)
    zero = jnp.zeros_like(outcome.stats.merit)
    stats = dataclasses.replace(
        outcome.stats,
        residual_norm=zero,
        merit=zero,
        error_estimate=zero,
        exact_prefix=prefix,
        finite_prefix=prefix,
        settled_prefix=prefix,
        fell_back=failed,
    )
    stats = jax.tree.map(partial(jnp.where, failed), stats, outcome.stats)
    return dataclasses.replace(outcome, states=states, result=Result.where(failed, result, outcome.result), stats=stats)


def _where_needed(
    failed: Bool[Array, " N"], recurrence: Recurrence, states: Float[Array, "N T D"]
) -> Float[Array, "N T D"]:
    """The states of a batch of recurrences, computed anew for those that failed, if any did.

    Decided once for the whole batch: a branch that ``jax.vmap`` turns into both of its sides would always run the loop.
    """
    size = len(failed)
    run = jax.custom_batching.custom_vmap(_computed)

    @run.def_vmap
    def rule(count: int, mapped: list[Tree], *args: Tree) -> tuple[Array, bool]:
        join = partial(merged, count, size, False)
        found = _where_needed(*(jax.tree.map(join, part, flags) for part, flags in zip(args, mapped, strict=True)))
        return found.reshape(count, -1, *found.shape[1:]), True

    return run(failed, recurrence, states)


def _computed(
    failed: Bool[Array, " N"], recurrence: Recurrence, states: Float[Array, "N T D"]
) -> Float[Array, "N T D"]:
    """The same without a rule for batches."""

    def again() -> Array:
        if len(failed) == 1:
            return jax.tree.map(lambda leaf: leaf[0], recurrence).trajectory()[None]
        return jnp.where(failed[:, None, None], jax.vmap(Recurrence.trajectory)(recurrence), states)

    return jax.lax.cond(jnp.any(failed), again, lambda: states)
