"""Growth of perturbations against brute force: all products of stored Jacobians, dense norms, closed forms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flow_steps import recurrence, trajectory

import parascan as ps
from combinations import single
from parascan.diagnostics import Paths, contraction, jacobian_norm, lipschitz, regularity
from parascan.diagnostics.growth import growth_constants as growth
from parascan.diagnostics.growth import products
from parascan.diagnostics.growth.spectral_norms import norms_of_products, shortfall, stored_norms
from parascan.diagnostics.growth.statistics import extrapolated_maximum, half_width, mean
from parascan.problem.flat_recurrence import Recurrence


def network(size, length, gain=0.9):
    """A driven network with its trajectory in float64."""
    rnn = ps.systems.tanh_rnn(gain=gain, size=size, key=jax.random.key(size))
    problem = recurrence(rnn.step, rnn.initial_state, rnn.inputs(length))
    return Paths.whole(problem, trajectory(problem))


def dense(paths):
    """All Jacobians of one path, by `jacfwd`."""
    of_step = jax.jacfwd(paths.advance)
    inputs = jax.tree.map(lambda leaf: leaf[0], paths.inputs)
    return np.asarray(jax.vmap(of_step)(paths.before[0], inputs))


def all_windows(jacobians):
    """Norms of all products, by start and number of factors."""
    found = {}
    for t in range(len(jacobians)):
        product = np.eye(jacobians.shape[1])
        for k in range(1, len(jacobians) - t + 1):
            product = jacobians[t + k - 1] @ product
            found[t, k] = np.linalg.norm(product, 2)
    return found


@pytest.fixture(scope="module")
def small():
    """A short path of a small network, and the norms of all its windows."""
    with jax.enable_x64(True):
        paths = network(4, 40)
        yield paths, all_windows(dense(paths))


def test_constants_are_those_of_all_windows(small, getkey):
    paths, norms = small
    with jax.enable_x64(True):
        for exponent in (-0.3, -0.2, 0.1):
            found = regularity(paths, jnp.asarray(exponent), getkey())
            scaled = [np.log(norm) - exponent * k for (_, k), norm in norms.items()]
            np.testing.assert_allclose(found.a.value, np.exp(max(0, *scaled)), rtol=2e-4)
            np.testing.assert_allclose(found.b.value, np.exp(min(0, *scaled)), rtol=2e-4)
            assert found.a.low == found.a.high == found.a.value
            assert found.a.level == 1.0
            expected = max(0, *scaled) / abs(exponent) if exponent < 0 else np.inf
            np.testing.assert_allclose(found.overshoot.value, expected, rtol=1e-3)


@pytest.mark.slow
def test_an_upper_bound_of_a_is_one_where_not_all_windows_are_looked_at(getkey, monkeypatch):
    # Products of normal matrices, whose largest window outgrows those of a few steps by orders of magnitude.
    with jax.enable_x64(True):
        for size, length in ((2, 90), (3, 60), (5, 40)):
            monkeypatch.setattr(growth, "ENTRIES_OF_WINDOWS", 5 * length * size**2)
            matrices = 0.5 * jax.random.normal(getkey(), (length, size, size))
            problem = Recurrence(lambda s, x: x @ s, jnp.ones(size), matrices, length)
            paths = Paths.whole(problem, trajectory(problem))
            scaled = [np.log(norm) + 0.4 * k for (_, k), norm in all_windows(np.asarray(matrices)).items()]
            found = regularity(paths, jnp.asarray(-0.4), getkey(), starts=4, longest=10)
            assert 1 <= found.a.low <= np.exp(max(scaled)) * (1 + 1e-3)
            assert np.exp(max(scaled)) * (1 - 1e-3) <= found.a.high < np.inf
            assert found.b.low <= np.exp(min(0, *scaled)) <= found.b.high * (1 + 1e-3)
            assert found.a.level == 1.0
            assert "all windows of 5 steps or fewer" in found.a.method


def test_stretches_that_cover_a_trajectory_are_one(small, getkey):
    paths, norms = small
    with jax.enable_x64(True):
        cut = [
            jax.tree.map(lambda leaf: leaf.reshape(5, 8, *leaf.shape[2:]), of) for of in (paths.before, paths.inputs)
        ]
        found = regularity(Paths(paths.advance, *cut, 40), jnp.asarray(-0.25), getkey(), longest=4, starts=4)
        scaled = [np.log(norm) + 0.25 * k for (_, k), norm in norms.items()]
        np.testing.assert_allclose(found.a.high, np.exp(max(0, *scaled)), rtol=2e-4)
        assert found.a.low == found.a.high


def test_of_parts_of_a_trajectory_a_is_known_from_below_only(small, getkey):
    paths, norms = small
    with jax.enable_x64(True):
        part = Paths(paths.advance, paths.before, paths.inputs, 10 * paths.total)
        found = regularity(part, jnp.asarray(-0.25), getkey(), starts=12, longest=20)
        scaled = [np.log(norm) + 0.25 * k for (_, k), norm in norms.items()]
        assert found.a.low == found.a.value <= np.exp(max(scaled)) * (1 + 1e-3)
        assert found.a.high == np.inf
        assert found.b.low == 0
        assert "20 steps or fewer from 12 of 400" in found.a.method
        assert "lower bound of a" in found.a.method


@pytest.mark.slow
def test_a_turned_direction_sees_windows_that_are_longer_than_those_looked_at(getkey, monkeypatch):
    # Fifty steps of growth, then fifty of decay: windows of five steps see a tenth of it.
    monkeypatch.setattr(growth, "ENTRIES_OF_WINDOWS", 500)
    with jax.enable_x64(True):
        rates = jnp.exp(jnp.where(jnp.arange(100) < 50, 0.1, -0.1))[:, None]
        problem = Recurrence(lambda s, x: x * s, jnp.ones(1), rates, 100)
        paths = Paths.whole(problem, trajectory(problem))
        exponent = jnp.asarray(0.0)
        short = regularity(paths, exponent, getkey(), longest=5, starts=10)
        long = regularity(paths, exponent, getkey(), longest=5, starts=10, stretches=jnp.log(rates).T)
        np.testing.assert_allclose(short.a.value, np.exp(0.5), rtol=1e-3)
        np.testing.assert_allclose(short.a.high, np.exp(5.0), rtol=1e-3)
        np.testing.assert_allclose(long.a.value, np.exp(5.0), rtol=1e-3)
        np.testing.assert_allclose(long.b.low, np.exp(-5.0), rtol=1e-3)


@pytest.mark.slow
def test_windows_by_power_iteration_are_those_of_stored_products(getkey, monkeypatch):
    with jax.enable_x64(True):
        paths = network(12, 60)
        starts, lengths = paths.spread_starts(6, 30), products.geometric(30)
        stored = products.log_norms(paths, starts, lengths, getkey())
        monkeypatch.setattr(products, "STORED_SIZE", 0)
        by_power = products.log_norms(paths, starts, lengths, getkey())
        assert np.all(by_power <= stored + 1e-3)
        # Leading singular values that are close take a power iteration long; few windows have them.
        assert np.quantile(stored - by_power, 0.9) < 0.02
        np.testing.assert_allclose(np.max(by_power), np.max(stored), atol=0.02)


@pytest.mark.slow
def test_norm_of_the_jacobians_stored_and_by_products(getkey):
    with jax.enable_x64(True):
        for size in (3, 40):
            paths = network(size, 30)
            norms = np.linalg.norm(dense(paths), 2, axis=(1, 2))
            measured = eqx.filter_jit(lambda key, paths=paths, **options: jacobian_norm(paths, key, **options))
            found = measured(getkey())
            assert found.low <= norms.max() * (1 + 1e-9) <= found.high
            np.testing.assert_allclose(found.value, norms.max(), rtol=0.02)
            part = measured(getkey(), places=10)
            assert part.value <= norms.max() * (1 + 1e-9) <= part.high
            single = jax.jit(lambda key, paths=paths: growth.place_norms(paths, np.arange(30), key)[0])(getkey())
            np.testing.assert_allclose(single, norms, rtol=0.04)


@single
def test_norms_of_stored_matrices_however_close_their_singular_values(dtype, getkey):
    generator = np.random.default_rng(0)
    matrices = generator.normal(size=(50, 4, 4)) * 10.0 ** generator.uniform(-9, 9, (50, 1, 1))
    matrices[:10] = np.linalg.qr(matrices[:10])[0] @ np.diag([1, 1 - 1e-4, 0.999, 0.99])
    matrices[10] = 0
    found = stored_norms(jnp.asarray(matrices, dtype))
    expected = np.linalg.norm(matrices, 2, axis=(1, 2))
    np.testing.assert_allclose(found, expected, rtol=2e-4)
    assert np.all(found <= expected * (1 + 20 * jnp.finfo(dtype).eps))


def test_a_random_start_misses_no_more_than_is_said(getkey):
    with jax.enable_x64(True):
        J = jax.random.normal(getkey(), (200, 80, 80))
        found = norms_of_products(
            lambda v: jnp.einsum("nij,jn->in", J, v),
            lambda u: jnp.einsum("nji,jn->in", J, u),
            jax.random.normal(getkey(), (80, 200)),
        )
        part = (np.asarray(found) / np.linalg.norm(np.asarray(J), 2, axis=(1, 2))) ** 2
        assert np.all(part <= 1 + 1e-9)
        assert np.mean(part < 1 - shortfall(80, 0.95)) <= 0.05


def test_lipschitz_constant_of_known_second_derivatives(getkey):
    with jax.enable_x64(True):
        # f'' of the Lorenz step is dt times that of (xz, xy), whose norm is one.
        lorenz = ps.systems.get("lorenz")
        problem = recurrence(lorenz.step, lorenz.initial_state, None, 50)
        found = lipschitz(Paths.whole(problem, trajectory(problem)), getkey())
        np.testing.assert_allclose(found.value, 0.01, rtol=1e-6)
        # Largest |sin''| = 1 within a radius of the places, reached at pi / 2.
        wave = Recurrence(
            lambda s, x: jnp.sin(x) + 0.0 * s + jnp.sin(s), jnp.zeros(1), jnp.linspace(-2, 2, 200)[:, None], 200
        )
        states = jnp.linspace(-2, 2, 200)[:, None]
        found = lipschitz(Paths.whole(wave, states), getkey())
        np.testing.assert_allclose(found.value, 1.0, rtol=1e-3)
        assert found.low <= 1.0 <= found.high


def test_a_kink_is_seen_by_chords(getkey):
    with jax.enable_x64(True):
        kinked = Recurrence(lambda s, x: jnp.abs(s), jnp.zeros(1), None, 100)
        states = jnp.linspace(-1, 1, 100)[:, None]
        found = lipschitz(Paths.whole(kinked, states), getkey(), radius=0.1)
        np.testing.assert_allclose(found.value, 2 / 0.1, rtol=1e-6)


@pytest.mark.slow
def test_a_metric_in_which_steps_contract():
    with jax.enable_x64(True):
        # Large norm, small eigenvalues: no contraction but in another metric.
        matrix = jnp.asarray([[0.5, 10.0], [0.0, 0.8]])
        problem = Recurrence(lambda s, x: matrix @ s, jnp.ones(2), None, 20)
        found = contraction(Paths.whole(problem, jnp.ones((20, 2))))
        assert 0.8 <= found.rate.value < 0.81
        inverse = np.linalg.inv(found.factor)
        np.testing.assert_allclose(np.linalg.norm(found.factor @ matrix @ inverse, 2), found.rate.value, rtol=2e-4)
        np.testing.assert_allclose(found.kappa.value, np.linalg.cond(found.factor), rtol=1e-9)
        paths = network(40, 30)
        diagonal = contraction(paths)
        assert diagonal.rate.value <= np.linalg.norm(dense(paths), 2, axis=(1, 2)).max() * (1 + 1e-3)
        assert np.count_nonzero(np.asarray(diagonal.factor)) == 40


def test_means_and_intervals_by_hand():
    with jax.enable_x64(True):
        # Five batches: 2.776 is Student's quantile for four degrees of freedom.
        batches = jnp.asarray([2.0, 1.0, 3.0, 1.5, 2.5])
        expected = 2.7764451 * np.std(batches, ddof=1) / 5**0.5
        np.testing.assert_allclose(half_width(batches, 0.95), expected, rtol=1e-6)
        assert half_width(jnp.sort(batches), 0.95) > 1.2 * expected
        assert np.isinf(half_width(batches[:2], 0.95))
    series = np.full(10**5, 0.1, np.float32)
    assert mean(jnp.asarray(series)) == series[0]


@pytest.mark.slow
def test_maxima_of_unseen_values_are_bounded_as_often_as_said(getkey):
    with jax.enable_x64(True):
        values = jax.random.exponential(getkey(), (300, 2000))
        bounds = jax.vmap(lambda sample: extrapolated_maximum(sample, 2000, 0.95))(values[:, ::20])
        # Three standard deviations of a share of 0.95 of 300.
        assert np.mean(bounds >= values.max(axis=1)) > 0.91
        assert extrapolated_maximum(values[0], 2000, 0.95) == values[0].max()
