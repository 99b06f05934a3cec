"""One step after the other: the reference that every other backend is tested against, and the fastest on a CPU.

Depth T, work of T products, nothing stored but the answer. It is kept simple on purpose.
"""

import jax
import jax.numpy as jnp

from ...solution import State, Trajectory
from .._abstract import AbstractTransition


def run(transition: AbstractTransition, b: Trajectory, *, transpose: bool) -> Trajectory:
    """Solution of the recurrence, or of the transposed one."""
    return sweep(transition, b, jnp.zeros_like(b[0]), transpose=transpose)


def sweep(transition: AbstractTransition, b: Trajectory, inflow: State, *, transpose: bool) -> Trajectory:
    """Solution when ``inflow`` enters the row that is computed first.

    ``A_k`` joins rows k - 1 and k in either direction, so row 0 of the transition joins nothing and is not used.
    """
    multiply = transition.transposed_product if transpose else transition.product
    last = len(b) - 1

    def step(state: State, k: jax.Array) -> tuple[State, State]:
        joining = jnp.minimum(k + 1, last) if transpose else k
        arriving = multiply(transition.row(joining), state)
        # A choice, not a product with zero: an infinite entry in the unused row must not become NaN.
        state = jnp.where(k == (last if transpose else 0), inflow, arriving) + b[k]
        return state, state

    return jax.lax.scan(step, inflow, jnp.arange(last + 1), reverse=transpose)[1]
