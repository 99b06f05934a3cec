"""A first trajectory of a sampler from few evaluations of its network."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .fine_steps import Inputs, Sampler, advanced


def coarse_trajectory(
    sampler: Sampler, x: Float[Array, "..."], inputs: Inputs, evaluations: int
) -> Float[Array, "T ..."]:
    """The states after all steps where the network is asked anew at the start of each of some blocks of steps only.

    Within a block its answer stays as it is, and the steps with their own factors and noise are taken with it. For DDIM
    that is a sampler with as many steps as blocks, and the levels between in passing.

    Args:
        sampler: whose steps.
        x: the first state.
        inputs: of all steps.
        evaluations: of the network, one after the other; at most T.

    Source: the coarse solve of Selvam et al. 2024 (SRDS).
    """
    starts = np.zeros(sampler.steps, bool)
    starts[np.arange(evaluations) * sampler.steps // evaluations] = True

    def one(
        carry: tuple[Array, Array], row: tuple[Inputs, Bool[Array, ""]]
    ) -> tuple[tuple[Array, Array], Float[Array, "..."]]:
        state, answer = carry
        given, start = row
        answer = jax.lax.cond(start, lambda: sampler.eps(state, given.time).astype(x.dtype), lambda: answer)
        after = advanced(state, answer, given)
        return (after, answer), after

    return jax.lax.scan(one, (x, jnp.zeros_like(x)), (inputs, jnp.asarray(starts)))[1]
