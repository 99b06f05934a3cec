"""Chains by linearizations of their decisions: the margin is the decision, and the chain is that of the plain loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from targets import KERNELS, TARGETS
from test_chains import plain, same_chain

import parascan as ps
from combinations import fewer, one_of_each, product, some
from parascan.mcmc.sample import noise_of

ADJUSTED = [name for name in KERNELS if name != "ula"]


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("name", some(ADJUSTED, "mala", "hmc", "random walk"))
def test_the_margin_is_positive_where_the_kernel_takes_the_proposal(name):
    kernel = KERNELS[name](TARGETS["curved"])
    positions, info = plain(kernel, jnp.full(3, 0.5), 400, jax.random.key(0))
    before = jnp.concatenate([jnp.full((1, 3), 0.5), positions[:-1]])
    noise = noise_of(kernel, jax.random.fold_in(jax.random.key(0), 0), jnp.full(3, 0.5), jnp.int32(0), 400)
    proposals, margins = jax.vmap(kernel.gate)(before, noise)
    np.testing.assert_array_equal(margins > 0, info.accepted)
    np.testing.assert_allclose(jnp.where(info.accepted[:, None], proposals, before), positions, atol=1e-12)
    assert 0 < info.accepted.sum() < 400


def test_a_kernel_that_takes_every_proposal_has_no_gate():
    kernel = KERNELS["ula"](TARGETS["normal"])
    with pytest.raises(TypeError, match="takes every proposal"):
        kernel.gate(jnp.zeros(3), kernel.noise(jax.random.key(0), jnp.zeros(3)))


@pytest.mark.parametrize(
    ("name", "derivative"),
    fewer(
        one_of_each(product(["whitened mala", "hmc"], ["jump", "straight_through", "smooth"])),
        "whitened mala-jump",
        "hmc-straight_through",
    ),
)
def test_every_decision_is_that_of_the_plain_loop(name, derivative):
    kernel, start, key = KERNELS[name](TARGETS["logistic"]), jnp.full(3, 0.5), jax.random.key(3)
    solver = ps.Newton(ps.mcmc.Gate(kernel.gate, derivative))
    draws = ps.mcmc.sample(kernel, start, 150, key=key, solver=solver)
    same_chain(draws, kernel, start, key, 1e-9)


@pytest.mark.slow
def test_a_chain_whose_proposals_are_trajectories_in_parallel_takes_the_same_decisions():
    """Leapfrog steps of each proposal by blocks of position and momentum, beside the kernel's own loop."""
    density, steps, size = TARGETS["logistic"], 12, 0.25
    kernel, start = ps.mcmc.hmc(density, size, steps), jnp.full(3, 0.5)
    positions, info = plain(kernel, start, 40, jax.random.key(4))
    noise = noise_of(kernel, jax.random.fold_in(jax.random.key(4), 0), start, jnp.int32(0), 40)

    def leap(state, _):
        place, momentum = state
        momentum = momentum + 0.5 * size * jax.grad(density)(place)
        place = place + size * momentum
        return place, momentum + 0.5 * size * jax.grad(density)(place)

    def transition(position, noise):
        ends = ps.rollout(
            leap, (position, noise.normal), length=steps, solver=ps.Newton(ps.mcmc.BlockDiagonal(2)), throw=False
        )
        place, momentum = ends.carry
        ratio = density(place) - density(position) - 0.5 * (momentum @ momentum - noise.normal @ noise.normal)
        accepted = jnp.log(noise.uniform) < ratio
        after = jnp.where(accepted, place, position)
        return after, (after, accepted, ends.stats.iterations)

    found, accepted, updates = jax.jit(lambda start: jax.lax.scan(transition, start, noise)[1])(start)
    np.testing.assert_array_equal(accepted, info.accepted)
    np.testing.assert_allclose(found, positions, rtol=0, atol=1e-9)
    assert 0 < int(updates.max()) <= steps
