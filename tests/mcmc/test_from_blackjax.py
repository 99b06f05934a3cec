"""Algorithms of BlackJAX as kernels: the same chain as its own loop makes, carrying the position alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from targets import normal

import parascan as ps

DRAWS = 400


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def algorithms():
    blackjax = pytest.importorskip("blackjax")
    return {
        "mala": blackjax.mala(normal, 0.2),
        "hmc": blackjax.hmc(normal, 0.3, jnp.ones(3), 4),
        "nuts": blackjax.nuts(normal, 0.3, jnp.ones(3)),
        "random walk": blackjax.additive_step_random_walk(normal, blackjax.mcmc.random_walk.normal(0.5 * jnp.eye(3))),
    }


def own_loop(algorithm, keys):
    """Positions and acceptance rates as BlackJAX's users find them, its whole state carried."""

    def one(state, key):
        state, info = algorithm.step(key, state)
        return state, (state.position, info.acceptance_rate)

    return jax.jit(lambda keys: jax.lax.scan(one, algorithm.init(jnp.zeros(3)), keys)[1])(keys)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["mala", "hmc", "nuts", "random walk"])
def test_chains_are_those_of_its_own_loop(name):
    algorithm = algorithms()[name]
    kernel = ps.mcmc.from_blackjax(algorithm)
    key = jax.random.key(3)
    chain = jax.random.fold_in(key, 0)
    keys = jax.vmap(lambda number: jax.random.fold_in(chain, number))(jnp.arange(DRAWS))
    positions, rates = own_loop(algorithm, keys)
    found = ps.mcmc.sample(kernel, jnp.zeros(3), DRAWS, key=key)
    np.testing.assert_allclose(found.positions[0], positions, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.acceptance[0], rates, rtol=1e-6)
    if name in ("mala", "hmc"):
        cut = ps.mcmc.sample(kernel, jnp.zeros(3), DRAWS, key=key, solver=ps.Chunked(chunks=4))
        np.testing.assert_allclose(cut.positions[0], positions, rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_nuts_runs_step_by_step_and_says_why():
    kernel = ps.mcmc.from_blackjax(algorithms()["nuts"])
    keys = jax.random.split(jax.random.key(0), 20_000)
    way = ps.explain(lambda x, key: (kernel(x, key)[0], None), jnp.zeros(3), keys)
    assert way.way != "chunks"
    assert "loop" in str(way)


@pytest.mark.filterwarnings("ignore")
def test_a_random_walk_is_foretold_not_to_contract():
    kernel = ps.mcmc.from_blackjax(algorithms()["random walk"])
    found = ps.mcmc.foretell(kernel, jnp.zeros(3), key=jax.random.key(0), draws=300)
    assert found.verdict == "does not contract"


def test_what_is_no_algorithm_is_refused():
    with pytest.raises(TypeError, match="algorithm: given int, expected one with init and step"):
        ps.mcmc.from_blackjax(3)
