"""Observers of a flow by replaced coordinates, with the choice as data, so that one program serves all choices."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

import parascan as ps

MOST_MEASURED = 2
"""Most coordinates that an observer replaces."""

STEP_SIZES = (0.01, 0.001, 0.0001)
"""Steps of forward Euler, the published one first, then the shorter ones for flows with fast time scales."""


class ChosenStep(eqx.Module):
    """``z' = w + dt F(w)``, w being z with the chosen coordinates replaced by those of x; none chosen, the flow.

    Source: Pecora and Carroll 1990.
    """

    flow: ps.systems.System
    chosen: Bool[Array, " D"]

    def __call__(self, state: Float[Array, " D"], x: Float[Array, " D"]) -> Float[Array, " D"]:
        """The next state."""
        return self.flow.step(jnp.where(self.chosen, x, state), None)


def choices(size: int) -> Bool[Array, "N D"]:
    """All sets of one or two coordinates, nothing chosen first.

    Args:
        size: D, one or more; a set is never all of them.
    """
    sets = [
        pick for count in range(min(MOST_MEASURED, size - 1) + 1) for pick in itertools.combinations(range(size), count)
    ]
    return jnp.asarray([[place in pick for place in range(size)] for pick in sets])


def finite_flow(
    name: str, length: int
) -> tuple[ps.systems.System, Float[Array, "length D"], Float[Array, "length D"]] | None:
    """A flow with the largest step size at which its orbit stays finite: system, states before and after every step.

    Args:
        name: of the flow.
        length: steps T.

    Returns:
        None for a flow that leaves the range of numbers at every step size.
    """
    for dt in STEP_SIZES:
        system = ps.systems.flow(name, dt=dt)
        nothing = ChosenStep(system, jnp.zeros(system.size, bool))
        unused = jnp.zeros((length, system.size))
        states = ps.rollout(nothing, system.initial_state, unused, solver=ps.Sequential(), throw=False).states
        if bool(jnp.all(jnp.isfinite(states))):
            return system, jnp.concatenate([system.initial_state[None], states[:-1]]), states
    return None


def exponents(
    system: ps.systems.System, before: Float[Array, "T D"], states: Float[Array, "T D"], key: Array
) -> Float[Array, " N"]:
    """Largest exponent per unit of time of the flow and of every observer, along the flow's own orbit.

    An observer that has met the flow moves with it; what is measured is whether it would stay.

    Args:
        system: the flow.
        before: states before each step.
        states: states after each step.
        key: of the first direction.
    """

    def one(chosen: Bool[Array, " D"]) -> Float[Array, ""]:
        step = ChosenStep(system, chosen)
        found = ps.lyapunov_exponents(
            step, system.initial_state, before, key=key, directions=1, states=states, chunks=1, dt=system.dt or 1.0
        )
        return found.per_time

    return jax.jit(jax.vmap(one))(choices(system.size))


def best_choice(exponents: Float[np.ndarray, " N"]) -> int:
    """The number of the set whose observer forgets fastest; of the flow itself, number 0, there is none.

    Args:
        exponents: of the flow and of every observer, in the order of ``choices``; NaN where there is none.
    """
    return 1 + int(np.nanargmin(exponents[1:]))
