"""The Metropolis-adjusted Langevin chain in the two-well potential, under noise that is given: a step that jumps."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import parascan as ps

from .langevin_chains import log_density


class MetropolisStep(eqx.Module):
    """``s' = y`` if ``log u < log of the acceptance ratio``, else ``s``; ``y = s - eps grad phi(s) + sqrt(2 eps) w``.

    Inputs are ``(w, log u)``. With ``sharpness`` the accept is the share ``sigmoid(sharpness (log ratio - log u))``: a
    smooth step with the same proposals, whose Jacobian says how near the accept is to turning. Noise is shared between
    chains, so that two of them may meet.

    Attributes:
        proposal: the unadjusted step, from which potential and step size are taken.
        sharpness: None for the chain itself.

    Source: Roberts and Tweedie 1996 for the chain; Zoltowski et al. 2025 for a smooth accept in its linearization.
    """

    proposal: Any
    sharpness: float | None = eqx.field(static=True, default=None)

    def __call__(self, state: Float[Array, " D"], x: Float[Array, " D+1"]) -> Float[Array, " D"]:
        """The next state."""
        noise, log_uniform = x[:-1], x[-1]
        proposed = self.proposal(state, noise)
        margin = self.log_ratio(state, proposed) - log_uniform
        if self.sharpness is None:
            return jnp.where(margin > 0, proposed, state)
        share = jax.nn.sigmoid(self.sharpness * margin)
        return state + share * (proposed - state)

    def log_ratio(self, state: Float[Array, " D"], proposed: Float[Array, " D"]) -> Float[Array, ""]:
        """Logarithm of target times proposal density at the proposed state over the same at the state."""
        quiet, eps = jnp.zeros_like(state), self.proposal.step_size

        def log_proposal(target: Array, start: Array) -> Array:
            return -jnp.sum((target - self.proposal(start, quiet)) ** 2) / (4 * eps)

        forward, back = log_proposal(proposed, state), log_proposal(state, proposed)
        gained = log_density(self.proposal, proposed) - log_density(self.proposal, state)
        return gained + back - forward


def chain(
    step_size: float, length: int, key: Array
) -> tuple[MetropolisStep, Float[Array, " 2"], Float[Array, "length 3"]]:
    """A chain: its step, its start in a well, and its noise.

    Args:
        step_size: eps of the proposals.
        length: steps T.
        key: of the noise.
    """
    system = ps.systems.two_well_langevin(step_size=step_size)
    of_noise, of_uniform = jax.random.split(key)
    noise = jax.random.normal(of_noise, (length, 2))
    log_uniform = -jax.random.exponential(of_uniform, (length, 1))
    return MetropolisStep(system.step), jnp.asarray([1.6, 0.0]), jnp.concatenate([noise, log_uniform], axis=1)
