"""Summaries against closed forms, a warm-up that finds the scale, and the verdicts on chains."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from targets import KERNELS, logistic, normal

import parascan as ps
from combinations import some


def autoregression(rho, chains, draws, seed=0):
    noise = np.random.default_rng(seed).normal(size=(chains, draws))
    found = np.empty_like(noise)
    found[:, 0] = noise[:, 0]
    for t in range(1, draws):
        found[:, t] = rho * found[:, t - 1] + np.sqrt(1 - rho**2) * noise[:, t]
    return jnp.asarray(found, jnp.float32)


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.5, 0.9])
def test_the_effective_size_of_an_autoregression(rho):
    draws = autoregression(rho, 4, 20_000, seed=2)
    expected = draws.size * (1 - rho) / (1 + rho)
    assert ps.mcmc.effective_sample_size(draws) == pytest.approx(expected, rel=0.12)
    assert ps.mcmc.split_r_hat(draws) == pytest.approx(1.0, abs=0.01)


def test_chains_that_disagree_or_drift_are_seen():
    draws = autoregression(0.3, 4, 2000)
    assert ps.mcmc.split_r_hat(draws + 2 * jnp.arange(4.0)[:, None]) > 1.5
    assert ps.mcmc.split_r_hat(draws[:1] + jnp.linspace(0, 5, 2000)) > 1.2
    assert bool(jnp.isnan(ps.mcmc.split_r_hat(draws[:, :3])))
    assert bool(jnp.isnan(ps.mcmc.effective_sample_size(draws[:, :3])))
    vector = jnp.stack([draws, 3 * draws + 1], axis=-1)
    np.testing.assert_allclose(
        ps.mcmc.effective_sample_size(vector)[1], ps.mcmc.effective_sample_size(draws), rtol=1e-3
    )


@pytest.mark.parametrize("dense", some([False, True], False))
def test_a_warm_up_finds_step_size_and_scale(dense):
    covariance = jnp.asarray([[1.0, 4.5], [4.5, 25.0]])

    def density(x):
        return -0.5 * x @ jnp.linalg.solve(covariance, x)

    make = lambda h, scale: ps.mcmc.hmc(density, h, 5, scale)  # noqa: E731
    found = ps.mcmc.warm_up(make, jnp.zeros((4, 2)), 1000, key=jax.random.key(0), chains=4, dense=dense)
    assert found.acceptance == pytest.approx(0.8, abs=0.1)
    assert found.positions.shape == (4, 2)
    if dense:
        np.testing.assert_allclose(found.scale @ found.scale.T, covariance, rtol=0.3, atol=0.3)
    else:
        np.testing.assert_allclose(found.scale, [1, 5], rtol=0.25)
    draws = ps.mcmc.sample(found.kernel, found.positions, 1000, key=jax.random.key(1), chains=4)
    assert bool(jnp.all(draws.summary().r_hat < 1.02))


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"draws": 10}, ValueError, "draws: given 10, expected 20 or more"),
        ({"target": 1.5}, ValueError, "target: given 1.5"),
        ({"chains": 0}, ValueError, "chains: given 0"),
        ({"chains": 2}, ValueError, r"positions: given a leaf of shape \[3\], expected \[2"),
    ],
)
def test_a_warm_up_names_bad_arguments(given, kind, words):
    arguments = {"positions": jnp.zeros(3), "draws": 50} | given
    with pytest.raises(kind, match=words):
        ps.mcmc.warm_up(KERNELS["mala"], key=jax.random.key(0), **arguments)


@pytest.mark.slow
def test_langevin_chains_are_predictable():
    for density in (normal, logistic):
        found = ps.mcmc.foretell(ps.mcmc.mala(density, 0.1), jnp.zeros(3), key=jax.random.key(0))
        assert found.verdict == "predictable"
        assert found.exponent < 0
        assert found.meeting[0] <= found.meeting[1] <= found.meeting[2] < 1000
        assert f"{found.shortest:.0f}" in str(found)


def test_pairs_meet_after_as_long_as_their_contraction_takes():
    """On a normal density of one number every step that is taken brings two copies together by the factor 1 - h."""
    kernel = ps.mcmc.ula(lambda x: -0.5 * x**2, 0.1)
    found = ps.mcmc.foretell(kernel, 0.0, key=jax.random.key(0), pairs=64)
    assert found.exponent == pytest.approx(np.log(0.9), rel=0.1)


def test_a_random_walk_does_not_contract():
    found = ps.mcmc.foretell(ps.mcmc.random_walk(normal, 0.5), jnp.zeros(3), key=jax.random.key(0))
    assert found.verdict == "does not contract"
    assert found.met == 0
    assert "step by step" in str(found)


def test_a_stuck_chain_is_named():
    found = ps.mcmc.foretell(ps.mcmc.mala(normal, 50.0), jnp.zeros(3), key=jax.random.key(0))
    assert found.verdict == "stuck"
    assert "smaller step size" in str(found)


def test_too_few_draws_tell_nothing():
    kernel = ps.mcmc.ula(lambda x: -0.5 * jnp.sum(x**2), 0.02)
    found = ps.mcmc.foretell(kernel, jnp.zeros(3), key=jax.random.key(0), draws=300)
    assert found.verdict == "undetermined"
    assert ps.mcmc.foretell(kernel, jnp.zeros(3), key=jax.random.key(0), draws=2000).verdict == "predictable"


def test_two_modes_are_not_called_predictable_by_one_of_them():
    """Between two wells that copies never leave, pairs in one well meet, and pairs in two do not."""

    def wells(x):
        return jnp.logaddexp(-0.5 * jnp.sum((x - 4) ** 2), -0.5 * jnp.sum((x + 4) ** 2))

    class Spread(ps.mcmc.AbstractKernel):
        """Starts of either sign, as the first noise says."""

        inner: ps.mcmc.AbstractKernel

        def noise(self, key, position):
            return self.inner.noise(key, position)

        def __call__(self, position, noise):
            begun = jnp.where(position == 0, jnp.sign(noise.normal) * 4, position)
            return self.inner(begun, noise)

    found = ps.mcmc.foretell(Spread(ps.mcmc.mala(wells, 0.3)), jnp.zeros(1), key=jax.random.key(0), pairs=32)
    assert 0.2 < found.met < 0.8
    assert found.verdict == "undetermined"


def test_draws_go_to_arviz_where_it_is_installed():
    draws = ps.mcmc.sample(ps.mcmc.mala(lambda x: -0.5 * x["mu"] ** 2, 0.5), {"mu": 0.0}, 20, key=jax.random.key(0))
    try:
        import arviz_base  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match=r"'\.\[mcmc\]' in a clone"):
            draws.to_arviz()
    else:
        tree = draws.to_arviz()
        assert tree["posterior"]["mu"].shape == (1, 20)
        assert bool((tree["sample_stats"]["diverging"] == 0).all())
