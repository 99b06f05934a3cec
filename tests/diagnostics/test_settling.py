"""Rates of series that have settled, and of those that have not, against what they are made of."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from parascan.diagnostics import measure_growth
from parascan.diagnostics.growth.following import Followed, Layout, follow
from parascan.diagnostics.growth.foretold_rate import rate_of_run, rate_with_pilots
from parascan.diagnostics.growth.jumps import couple
from parascan.diagnostics.growth.settling import (
    CELLS,
    SELF_NORMALIZED_QUANTILE,
    algebraic_limit,
    cells_of,
    mean_of_regular,
    self_normalized_half_width,
    trend_beyond_doubt,
)
from parascan.diagnostics.growth.side_by_side import SideBySideStep
from parascan.diagnostics.growth.swings import without_swings
from parascan.problem.flat_recurrence import Recurrence


def test_the_quantile_is_that_of_the_distribution():
    steps = np.random.default_rng(0).standard_normal((20_000, 200))
    sums = np.cumsum(steps, axis=1)
    bridge = sums - np.arange(1, 201) / 200 * sums[:, -1:]
    ratios = sums[:, -1] ** 2 / 200 / (np.sum(bridge**2, axis=1) / 200**2)
    assert np.quantile(ratios, 0.95) == pytest.approx(SELF_NORMALIZED_QUANTILE, rel=0.05)


@pytest.mark.parametrize("correlation", [0.0, 0.9, 0.98])
def test_intervals_of_correlated_series_hold_their_mean(correlation):
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((500, 4000))
    series = np.zeros_like(noise)
    for t in range(1, noise.shape[1]):
        series[:, t] = correlation * series[:, t - 1] + noise[:, t]
    cells = jax.vmap(cells_of)(jnp.asarray(series[:, 1000:]))
    assert cells.shape == (500, CELLS)
    widths = np.asarray(jax.vmap(self_normalized_half_width)(cells))
    held = np.mean(np.abs(np.mean(cells, axis=1)) <= widths)
    assert 0.9 <= held <= 0.98


def test_a_drift_widens_the_interval_to_where_it_goes():
    drift = jnp.linspace(0.0, 1.0, CELLS)
    assert 0.5 < float(self_normalized_half_width(drift)) < 0.7
    assert np.isinf(self_normalized_half_width(jnp.ones(1)))
    assert float(self_normalized_half_width(jnp.ones(9))) == 0


@pytest.mark.parametrize(("rate", "power"), [(0.0, 1.0), (-0.1, 19.0), (0.02, -3.0)])
def test_growth_by_a_power_of_time_is_told_from_a_rate(rate, power):
    with jax.enable_x64(True):
        t = np.arange(500, 2001)
        logs = rate * t + power * np.log(t)
        early, late = (jnp.asarray(np.diff(part).mean()) for part in (logs[:751], logs[750:]))
        assert float(algebraic_limit(early, late, 500, 1250, 2000)) == pytest.approx(rate, abs=1e-6)


def test_a_trend_counts_for_as_much_as_chance_does_not_explain():
    noise = jnp.asarray(np.random.default_rng(2).standard_normal(8))
    assert abs(float(trend_beyond_doubt(noise))) < 1
    assert float(trend_beyond_doubt(noise + 10)) > 8
    assert float(trend_beyond_doubt(noise - 10)) < -8
    assert float(trend_beyond_doubt(jnp.ones(1))) == 0


def test_smooth_means_of_regular_series_are_exact_and_of_random_ones_are_not_taken_for_such():
    with jax.enable_x64(True):
        t = np.arange(1500)
        series = 0.01 + np.sin(0.15 * t) + 0.5 * np.cos(0.15 * 2**0.5 * t + 1)
        mean, off = mean_of_regular(jnp.asarray(series))
        assert abs(float(mean) - 0.01) <= float(off) < 1e-4
        assert abs(series.mean() - 0.01) > 10 * abs(float(mean) - 0.01)
        noise = jnp.asarray(np.random.default_rng(5).standard_normal((400, 1500)))
        taken = jax.vmap(lambda row: mean_of_regular(row)[1] < self_normalized_half_width(cells_of(row)))(noise)
        assert np.mean(taken) < 0.05


def test_swings_of_a_closed_orbit_go_and_a_decay_stays():
    t = np.arange(3000)
    speed = 3 * np.sin(0.011 * t)
    logs = np.diff(speed, append=speed[-1])[None]
    compiled = jax.jit(without_swings)
    steady = np.asarray(compiled(jnp.asarray(logs), jnp.asarray(speed[None])))
    assert np.abs(steady).max() < 1e-3 * np.abs(logs).max()
    settling = -0.01 * t
    kept = compiled(jnp.full((1, 3000), -0.01), jnp.asarray(settling[None]))
    np.testing.assert_array_equal(np.asarray(kept), np.full((1, 3000), -0.01, np.float32))
    at_rest = compiled(jnp.asarray(logs), jnp.full((1, 3000), -jnp.inf))
    np.testing.assert_array_equal(np.asarray(at_rest), logs.astype(np.float32))


def followed(logs):
    """Stretches ``[P R V]`` of trajectories of which nothing else is known."""
    paths, rows, _ = logs.shape
    states, at_rest = jnp.zeros((paths, rows, 1)), jnp.full((paths, rows), -jnp.inf)
    return Followed(states, None, jnp.asarray(logs), at_rest, jnp.ones((1, paths)))


def with_pilots(rates):
    """The exponent that a run and eight pilots of one rate in each of their counted steps let expect."""
    layout = Layout(length=20_000, run=1000, pilots=8, rows=1000)
    logs = np.full((8, 1000, 1), rates[0])
    logs[:, layout.burn_in :, 0] = rates
    run = followed(np.full((1, 1000, 2), np.mean(rates)))
    return eqx.filter_jit(rate_with_pilots)(run, followed(logs), layout)[0]


@pytest.mark.slow
def test_pilots_whose_rate_is_still_going_leave_open_where_it_ends():
    with jax.enable_x64(True):
        steady, rising, falling = (
            with_pilots(np.linspace(0.025 - change, 0.025 + change, 750)) for change in (0.0, 0.005, -0.005)
        )
        assert float(steady.high) - float(steady.low) < 1e-9
        assert float(rising.high) > 0.0299
        assert float(falling.low) < 0.0201


@pytest.mark.parametrize(("rate", "told"), [(0.002, False), (-0.002, False), (0.02, True), (-0.02, True)])
def test_slow_growth_and_decay_are_not_told_from_a_power_of_time(rate, told):
    with jax.enable_x64(True):
        layout = Layout(length=20_000, run=1500, pilots=0, rows=500)
        run = eqx.filter_jit(rate_of_run)(followed(np.full((1, 1500, 2), rate)), layout)[0]
        for found in (run, with_pilots(np.full(750, rate))):
            assert (float(found.low) > 0 or float(found.high) < 0) == told


@pytest.mark.slow
def test_a_direction_that_begins_half_way_shows_what_the_first_one_has_lost():
    with jax.enable_x64(True):
        step = SideBySideStep(lambda s, x: jnp.asarray([0.99, 1.0]) * s)
        first = jnp.broadcast_to(jnp.asarray([[1.0], [0.0]]), (2, 2, 1))
        run = follow(step, jnp.ones((1, 2)), None, 1500, first, jax.random.key(1))
        np.testing.assert_allclose(run.logs[0, :, 0], np.log(0.99), rtol=1e-9)
        np.testing.assert_allclose(run.logs[0, :750, 1], np.log(0.99), rtol=1e-9)
        assert abs(float(jnp.mean(run.logs[0, 1125:, 1]))) < 1e-4
        found = rate_of_run(run, Layout(length=20_000, run=1500, pilots=0, rows=500))[0]
        assert float(found.low) <= np.log(0.99) + 1e-9
        assert float(found.high) > -1e-4


def coupled(advance, starts, rows=200):
    """Copies beside paths of a system without inputs."""
    step = SideBySideStep(lambda s, x: advance(s))
    states = [jnp.asarray(starts)]
    for _ in range(rows - 1):
        states.append(jax.vmap(advance)(states[-1]))
    before = jnp.stack(states, axis=1)
    return couple(step, before, None, jnp.std(before), jax.random.key(0))


@pytest.mark.slow
def test_copies_of_a_contraction_meet_and_those_of_a_rotation_do_not():
    with jax.enable_x64(True):
        starts = np.random.default_rng(3).standard_normal((8, 2))
        halving = coupled(lambda s: 0.5 * s, starts)
        assert float(halving.rate.value) == pytest.approx(np.log(0.5), rel=0.01)
        assert float(halving.apart) == 0
        angle = jnp.asarray([[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]])
        turning = coupled(lambda s: angle @ s, starts)
        assert float(turning.rate.value) == pytest.approx(0, abs=1e-6)
        assert float(turning.apart) == 1
        assert float(turning.jump) == pytest.approx(1, rel=1e-6)


def test_a_reset_takes_close_copies_apart_and_their_jacobians_do_not_know():
    with jax.enable_x64(True):
        starts = np.random.default_rng(4).uniform(0, 1, (8, 1))
        spiking = coupled(lambda s: jnp.where(0.95 * s + 0.08 > 1, 0.0, 0.95 * s + 0.08), starts)
        assert float(spiking.jump) > 10
        assert float(spiking.apart) > 0.2


def bump(state, _):
    """A clock, and a mode that grows for 300 of its ticks and dies after them: the clock is what is left."""
    mode, clock = state
    return jnp.stack([mode * jnp.where(clock < 300, 1.05, 0.98), clock + 1])


def shear(state, _):
    """Perturbations grow like the number of steps."""
    return jnp.stack([state[0] + state[1], state[1]])


def block(state, _):
    """A Jordan block of the eigenvalue 0.9: growth by ``t^(D - 1)`` before the decay."""
    return 0.9 * state + jnp.concatenate([state[1:], jnp.zeros(1)])


@pytest.mark.parametrize(
    ("step", "start", "exponent"),
    [
        pytest.param(bump, [1.0, 0.0], 0.0, marks=pytest.mark.exhaustive),
        pytest.param(shear, [1.0, 1.0], 0.0, marks=pytest.mark.slow),
        pytest.param(block, [1.0] * 12, np.log(0.9), marks=pytest.mark.exhaustive),
    ],
)
def test_transients_and_powers_of_time_are_within_the_interval(step, start, exponent):
    with jax.enable_x64(True):
        system = Recurrence(step, jnp.asarray(start), None, 20_000)
        found = measure_growth(system, jax.random.key(0)).exponent
        assert float(found.low) <= exponent <= float(found.high)
        assert float(found.high) - float(found.low) < 0.2
