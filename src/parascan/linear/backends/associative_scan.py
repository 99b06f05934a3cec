"""A balanced tree of partial products, as ``jax.lax.associative_scan`` builds it.

The pair ``(A, b)`` stands for the map ``s -> A s + b``; maps compose associatively. Depth ``2 log2 T``, about twice the
matrix products that the recurrence has steps, T matrices stored at the widest level; the program grows with log T.

Source: Blelloch 1990, "Prefix sums and their applications", section 1.4 (linear recurrences).
"""

from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from ...solution import State, Trajectory
from .._abstract import AbstractComposableTransition

Map: TypeAlias = tuple[PyTree[Array], State]
"""One affine map: a row of the transition and an offset."""


def run(transition: AbstractComposableTransition, b: Trajectory, *, transpose: bool) -> Trajectory:
    """Solution of the recurrence, or of the transposed one."""

    def join(first: Map, then: Map) -> Map:
        return transition.compose(then[0], first[0]), transition.product(then[0], first[1]) + then[1]

    def join_transposed(first: Map, then: Map) -> Map:
        # (A_then^T A_first^T) is kept as the matrix whose transpose it is.
        return transition.compose(first[0], then[0]), transition.transposed_product(then[0], first[1]) + then[1]

    if not transpose:
        return jax.lax.associative_scan(jax.vmap(join), (transition.slices, b))[1]
    # With z_t = A_t^T y_t the adjoint reads z_t = A_t^T z_{t+1} + A_t^T b_t and y_t = z_{t+1} + b_t: no shifted copy
    # of the matrices is needed.
    maps = (transition.slices, transition.apply_transposed(b))
    z = jax.lax.associative_scan(jax.vmap(join_transposed), maps, reverse=True)[1]
    return b + jnp.concatenate([z[1:], jnp.zeros_like(z[:1])])
