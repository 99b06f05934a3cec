"""A window of steps that are iterated on together, and that moves on by those that are within tolerance."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..linear import ScalarTransition, linear_recurrence
from .fine_steps import Inputs, Sampler


class Moving(NamedTuple):
    """What one round hands to the next.

    Attributes:
        states: of all steps, accepted ones first ``[T D]``.
        accepted: number of leading states that stay as they are.
        rounds: evaluations of the network so far, each of a whole window at once.
    """

    states: Float[Array, "T D"]
    accepted: Int[Array, ""]
    rounds: Int[Array, ""]


def through_window(
    sampler: Sampler,
    x: Float[Array, "..."],
    inputs: Inputs,
    guess: Float[Array, "T ..."] | None,
    size: int,
    allowed: Float[Array, " T"],
) -> tuple[Float[Array, "T ..."], Int[Array, ""]]:
    """States of all steps, and the rounds that they took: at most T, as every round accepts one step or more.

    An accepted state stays as it is. What is returned is therefore the sampler's own recurrence but for one jump in
    each step, whose root mean square is at most ``allowed``.

    Args:
        sampler: whose steps.
        x: the first state.
        inputs: of all steps.
        guess: first states; None for the last one in the window where it moves to.
        size: steps of the window, at most T.
        allowed: root mean square that the residual of a step may have ``[T]``.

    Source: Shih et al. 2023, algorithm 1, with residuals in the place of changes.
    """
    length, shape = sampler.steps, x.shape
    rows = jnp.arange(size)

    def predicted(state: Float[Array, " D"], given: Inputs) -> Float[Array, " D"]:
        return sampler(state.reshape(shape), given).ravel()

    def turn(moving: Moving) -> Moving:
        first = jnp.minimum(moving.accepted, length - size)
        cut = lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, first, size)  # noqa: E731
        states, given = cut(moving.states), jax.tree.map(cut, inputs)
        before = jnp.where(first == 0, x.ravel(), moving.states[jnp.maximum(first - 1, 0)])
        predictions = jax.vmap(predicted)(jnp.concatenate([before[None], states[:-1]]), given)
        residuals = predictions - states
        within = jnp.sqrt(jnp.mean(residuals**2, axis=1)) <= cut(allowed)
        kept = jnp.cumprod((within | (first + rows < moving.accepted)).astype(jnp.int32)).astype(bool)
        changes = jnp.where(kept[:, None], 0.0, residuals)
        moved = states + linear_recurrence(ScalarTransition(given.scale, x.size), changes)
        # The first step that is not kept starts from a kept state, so that its prediction is what it is to be.
        fresh = jnp.argmin(kept)
        moved = jnp.where((rows == fresh)[:, None] & ~kept[:, None], predictions, moved)
        everything = jax.lax.dynamic_update_slice_in_dim(moving.states, moved, first, 0)
        if guess is None:
            everything = jnp.where((jnp.arange(length) >= first + size)[:, None], moved[-1], everything)
        accepted = first + jnp.minimum(jnp.sum(kept, dtype=jnp.int32) + 1, size)
        return Moving(everything, accepted, moving.rounds + 1)

    start = jnp.broadcast_to(x.ravel(), (length, x.size)) if guess is None else guess.reshape(length, x.size)
    none = jnp.zeros((), jnp.int32)
    last = jax.lax.while_loop(lambda moving: moving.accepted < length, turn, Moving(start, none, none))
    return last.states.reshape(length, *shape), last.rounds
