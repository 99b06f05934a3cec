"""What the library is measured against, kept deliberately plain."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr

TOLERANCE = 1e-10
"""Merit over T at which the published experiments stop."""


def sequential(step: Callable[[Any, Any], Any], length: int, unroll: int = 1) -> Callable[[Any, Any], Any]:
    """`jit(lax.scan)` of `(state, x) -> state`, with every state as output."""
    return jax.jit(lambda s0, xs: jax.lax.scan(lambda s, x: (step(s, x),) * 2, s0, xs, length, unroll=unroll)[1])


def unrolled(step: Callable[[Any, Any], Any], length: int, *args: Any) -> Callable[[int], Callable[[], Any]]:
    """For a number of steps in a turn, a program that runs the loop on arguments."""
    return lambda unroll: partial(sequential(step, length, unroll), *args)


def guess(s0: jax.Array, length: int) -> jax.Array:
    """Standard normals, as published: from a constant guess the Rossler observer takes 1052 iterations, not 5."""
    return jr.normal(jr.key(0), (length, *s0.shape), s0.dtype)


def deer(step: Callable[[Any, Any], Any], length: int) -> Callable[[Any, Any, Any], Any]:
    """Published-style Newton from a guess: dense Jacobians of all steps, then an associative scan over (A, b)."""

    def combine(left: Any, right: Any) -> Any:
        (A, a), (B, b) = left, right
        return B @ A, jnp.einsum("tij,tj->ti", B, a) + b

    def run(s0: jax.Array, xs: Any, start: jax.Array) -> tuple[jax.Array, jax.Array]:
        def previous(states: jax.Array) -> jax.Array:
            return jnp.concatenate([s0[None], states[:-1]])

        def merit(states: jax.Array) -> jax.Array:
            return 0.5 * jnp.sum((states - jax.vmap(step)(previous(states), xs)) ** 2) / length

        def update(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            states, count = state
            before = previous(states)
            A = jax.vmap(jax.jacfwd(step))(before, xs)
            b = jax.vmap(step)(before, xs) - jnp.einsum("tij,tj->ti", A, before)
            b = b.at[0].add(A[0] @ s0)
            states = jax.lax.associative_scan(combine, (A, b))[1]
            # As published: a state that overflowed starts from the guess again.
            sound = jnp.all(jnp.isfinite(states), axis=1, keepdims=True)
            return jnp.where(sound, states, start), count + 1

        def going(state: tuple[jax.Array, jax.Array]) -> jax.Array:
            # Written so that NaN does not count as converged.
            return ~(merit(state[0]) <= TOLERANCE) & (state[1] < length)

        return jax.lax.while_loop(going, update, (start, jnp.int32(0)))

    return jax.jit(run)


def associative(A: jax.Array, b: jax.Array) -> jax.Array:
    """`lax.associative_scan` of `s_t = A_t s_{t-1} + b_t` from zero, dense or diagonal."""

    def combine(left: Any, right: Any) -> Any:
        (A, a), (B, b) = left, right
        if A.ndim == 2:
            return A * B, B * a + b
        return B @ A, jnp.einsum("tij,tj->ti", B, a) + b

    return jax.lax.associative_scan(combine, (A, b))[1]


def exponent(step: Callable[[Any, Any], Any], length: int, start: jax.Array) -> Callable[[Any], Any]:
    """The largest Lyapunov exponent of a step without inputs: each Jacobian stored, QR of what it makes of a vector."""

    def run(s0: jax.Array) -> jax.Array:
        def one(carry: Any, _: None) -> Any:
            s, q = carry
            q, r = jnp.linalg.qr(jax.jacfwd(step)(s, None) @ q)
            return (step(s, None), q), jnp.log(jnp.abs(r[0, 0]))

        first = start[:, None] / jnp.linalg.norm(start)
        return jnp.mean(jax.lax.scan(one, (s0, first), None, length)[1])

    return jax.jit(run)
