"""Every solver gives the chain of ``jax.lax.scan``: the same decisions, and positions up to rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from targets import KERNELS, TARGETS, gibbs, normal

import parascan as ps
from combinations import fewer, one_of_each, product, some
from parascan.mcmc.sample import CHUNKS, _few_long_chunks, noise_of

DRAWS, KEY = 5000, jax.random.key(0)
SOLVERS = {"default": None, "chunks": ps.Chunked(chunks=8), "newton": ps.WithFallback(ps.deer(), ps.Sequential(), 60)}


def plain(kernel, start, draws, key, chain=0):
    """A chain by ``jax.lax.scan``."""
    noise = noise_of(kernel, jax.random.fold_in(key, chain), start, jnp.int32(0), draws)

    def step(position, noise):
        after, info = kernel(position, noise)
        return after, (after, info)

    return jax.jit(lambda start, noise: jax.lax.scan(step, start, noise)[1])(start, noise)


def same_chain(draws, kernel, start, key, tolerance):
    for chain in range(draws.accepted.shape[0]):
        first = start if draws.accepted.shape[0] == 1 else start[chain]
        positions, info = plain(kernel, first, draws.accepted.shape[1], key, chain)
        np.testing.assert_array_equal(draws.accepted[chain], info.accepted)
        np.testing.assert_array_equal(draws.divergent[chain], info.divergent)
        np.testing.assert_allclose(draws.positions[chain], positions, atol=tolerance)


CASES = product(KERNELS, TARGETS, ["chunks", "newton"], [False, True])


@pytest.mark.parametrize(
    ("name", "target", "solver", "double"),
    fewer(
        one_of_each(CASES), "whitened mala-curved-newton-True", "mala-normal-chunks-False", "hmc-logistic-chunks-False"
    ),
)
def test_decisions_are_those_of_the_plain_loop(name, target, solver, double):
    with jax.enable_x64(double):
        dtype = jnp.float64 if double else jnp.float32
        kernel, start, key = KERNELS[name](TARGETS[target]), jnp.full(3, 0.5, dtype), jax.random.key(3)
        length = DRAWS if solver == "chunks" else 400
        draws = ps.mcmc.sample(kernel, start, length, key=key, solver=SOLVERS[solver])
        assert draws.positions.dtype == dtype
        same_chain(draws, kernel, start, key, 1e-9 if double else 2e-3)


@pytest.mark.parametrize("double", some([False, True], True))
def test_a_gibbs_sweep_is_that_of_the_plain_loop(double):
    with jax.enable_x64(double):
        dtype = jnp.float64 if double else jnp.float32
        kernel, start, key = gibbs(dtype), jnp.zeros(2, dtype), jax.random.key(0)
        draws = ps.mcmc.sample(kernel, start, 20_000, key=key)
        same_chain(draws, kernel, start, key, 1e-12 if double else 1e-4)
        assert np.corrcoef(draws.positions[0, 100:].T)[0, 1] == pytest.approx(0.9, abs=0.03)


def test_chains_have_noise_of_their_own_and_go_on_where_they_ended():
    kernel, key = ps.mcmc.mala(normal, 0.3), jax.random.key(1)
    start = jnp.arange(12.0).reshape(4, 3) / 8
    whole = ps.mcmc.sample(kernel, start, 600, key=key, chains=4)
    same_chain(whole, kernel, start, key, 1e-3)
    assert not np.allclose(whole.positions[0, 300:], whole.positions[1, 300:])
    first = ps.mcmc.sample(kernel, start, 250, key=key, chains=4)
    rest = first.resume(100).resume(250)
    np.testing.assert_allclose(rest.positions, whole.positions[:, 350:], atol=1e-4)
    np.testing.assert_array_equal(rest.accepted, whole.accepted[:, 350:])
    assert int(rest.drawn) == 350


def test_positions_are_trees():
    def density(position):
        return -0.5 * (jnp.sum(position["a"] ** 2) + (position["b"] - 2.0) ** 2)

    start = {"a": jnp.zeros((2, 2)), "b": jnp.zeros(())}
    draws = ps.mcmc.sample(ps.mcmc.hmc(density, 0.5, 4), start, 2000, key=jax.random.key(0))
    assert draws.positions["a"].shape == (1, 2000, 2, 2)
    summary = draws.summary()
    assert summary.names == ("a[0, 0]", "a[0, 1]", "a[1, 0]", "a[1, 1]", "b")
    assert summary.mean[4] == pytest.approx(2.0, abs=0.1)
    assert "b" in str(summary)


def test_a_single_draw_and_a_number():
    draws = ps.mcmc.sample(ps.mcmc.mala(lambda x: -0.5 * x**2, 0.5), 0.0, 1, key=jax.random.key(0))
    assert draws.positions.shape == (1, 1)
    assert draws.resume(3).positions.shape == (1, 3)


def test_a_proposal_that_is_not_a_number_is_refused():
    def density(x):
        return jnp.where(x > 0, jnp.log(x) - x, jnp.nan)

    draws = ps.mcmc.sample(ps.mcmc.mala(density, 1.0), 1.0, 500, key=jax.random.key(0))
    assert bool(jnp.all(draws.positions > 0))
    assert bool(draws.divergent.any())
    assert not bool((draws.divergent & draws.accepted).any())


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: ps.mcmc.mala(3, 0.1), TypeError, "log_density: given int"),
        (lambda: ps.mcmc.mala(normal, -1.0), ValueError, "step_size: given -1.0"),
        (lambda: ps.mcmc.mala(normal, 0.1, jnp.ones((2, 3))), ValueError, r"scale: given an array of shape \[2, 3\]"),
        (lambda: ps.mcmc.mala(normal, 0.1, jnp.asarray([1, jnp.nan])), ValueError, "scale: .*not finite"),
        (lambda: ps.mcmc.hmc(normal, 0.1, 0), ValueError, "steps: given 0"),
        (lambda: ps.mcmc.gibbs(1, lambda key: key), TypeError, "sweep: given int"),
        (lambda: sampled(positions=jnp.zeros(3, jnp.int32)), ValueError, "positions: .*int32"),
        (lambda: sampled(positions=jnp.full(3, jnp.nan)), ValueError, "positions: .*not finite"),
        (lambda: sampled(positions={}), ValueError, "positions: given a tree without arrays"),
        (lambda: sampled(draws=0), ValueError, "draws: given 0"),
        (lambda: sampled(draws=2.5), TypeError, "draws: given 2.5"),
        (lambda: sampled(chains=2), ValueError, r"positions: given a leaf of shape \[3\], expected \[2"),
        (lambda: sampled(kernel=normal), TypeError, "kernel: given function"),
    ],
)
def test_bad_arguments_are_named(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def sampled(**given):
    arguments = {"kernel": ps.mcmc.mala(normal, 0.1), "positions": jnp.zeros(3), "draws": 10} | given
    return ps.mcmc.sample(**arguments, key=jax.random.key(0))


@pytest.mark.slow
def test_kernels_are_made_and_run_under_transformations():
    """A scale or a start that is known while something else is traced was taken for a traced one."""
    scale, start = jnp.asarray([0.5, 1.0, 2.0]), jnp.zeros(3)

    def last(size):
        kernel = ps.mcmc.mala(normal, size, scale)
        return ps.mcmc.sample(kernel, start, 50, key=jax.random.key(0)).positions[0, -1]

    sizes = jnp.asarray([0.1, 0.2])
    np.testing.assert_allclose(jax.vmap(last)(sizes)[1], jax.jit(last)(0.2), rtol=1e-4)
    assert bool(jnp.all(jnp.isfinite(jax.jacrev(last)(0.1))))


def likelihood(weights):
    """Log density of a logistic regression on 500 rows, whose sum rounds by more than one step's derivative tells."""
    rows = np.random.default_rng(0).normal(size=(500, 8))
    signs = np.where(rows @ np.linspace(-1, 1, 8) + np.random.default_rng(1).normal(size=500) > 0, 1.0, -1.0)
    margins = jnp.asarray(signs, weights.dtype) * (jnp.asarray(rows, weights.dtype) @ weights)
    return -jnp.sum(jax.nn.softplus(-margins)) - 0.5 * jnp.sum(weights**2)


@pytest.mark.slow
def test_a_likelihood_of_many_rows_runs_in_chunks_unasked():
    kernel, start, draws, key = ps.mcmc.hmc(likelihood, 0.04, 6), jnp.zeros(8), 8000, jax.random.key(5)
    noise = noise_of(kernel, jax.random.fold_in(key, 0), start, jnp.int32(0), draws)
    step = lambda position, noise: (kernel(position, noise)[0],) * 2  # noqa: E731
    solver = _few_long_chunks(step, start, noise, draws, 1)
    stats = ps.rollout(step, start, noise, solver=solver).stats
    assert (int(stats.chunks), bool(stats.fell_back)) == (CHUNKS, False)
    found = ps.mcmc.sample(kernel, start, draws, key=key)
    same_chain(found, kernel, start, key, 1e-4)


@pytest.mark.slow
def test_a_chain_in_few_digits_runs():
    kernel = ps.mcmc.hmc(likelihood, 0.02, 6)
    found = ps.mcmc.sample(kernel, jnp.zeros(8, jnp.bfloat16), 5000, key=jax.random.key(5))
    assert found.positions.dtype == jnp.bfloat16


@pytest.mark.slow
def test_two_modes_close_together_on_a_large_offset():
    """Their distance is less than a hundred units of rounding of the offset: no jump between chunks may hide in it."""
    rows = jnp.asarray(np.random.default_rng(1).normal(size=(300, 4)) / np.sqrt(300), jnp.float32)

    def density(x):
        away = (x - 1e4) / 0.03
        return jnp.logaddexp(*(-0.5 * jnp.sum((rows @ (away - mode)) ** 2) for mode in (1.3, -1.3)))

    kernel, start = ps.mcmc.mala(density, 0.6, scale=0.03), jnp.full(4, 1e4 + 0.039, jnp.float32)
    same_chain(ps.mcmc.sample(kernel, start, 16384, key=KEY), kernel, start, KEY, 0.005)
