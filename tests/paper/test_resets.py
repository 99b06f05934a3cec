"""What figure 8 says of its counts: they depend on what an overflow puts back to the guess."""

import jax
import jax.numpy as jnp

import parascan as ps

LENGTH = 1500


def updates(whole):
    """Newton's updates on a flow whose iterates overflow, which then go back to the guess as a whole or in part."""
    system = ps.systems.get("kawczynski_strizhak")
    guess, start = ps.systems.table1.guess()[:LENGTH], system.initial_state

    def step(state):
        return system.step(state, None)

    @jax.jit
    def following(states):
        before = jnp.concatenate([start[None], states[:-1]])
        images, jacobians = jax.vmap(step)(before), jax.vmap(jax.jacfwd(step))(before)
        offsets = images - jnp.einsum("tij,tj->ti", jacobians, before)
        proposal = ps.linear_recurrence(jacobians, offsets, start, backend="sequential")
        finite = jnp.all(jnp.isfinite(proposal), axis=1, keepdims=True)
        merit = 0.5 * jnp.sum((states - images) ** 2) / LENGTH
        return jnp.where(jnp.all(finite) if whole else finite, proposal, guess), merit

    states = guess
    for count in range(LENGTH + 1):
        states, merit = following(states)
        if merit <= 1e-10:
            return count
    return LENGTH


def test_putting_back_whole_trajectories_takes_about_t_updates():
    with jax.enable_x64(True):
        part, whole = updates(whole=False), updates(whole=True)
    assert part < LENGTH / 10
    assert whole > LENGTH / 2
