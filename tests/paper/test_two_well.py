"""Figures 3 and 7, the Metropolis chain: against closed forms, and claims that fail for planted wrong numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from parascan.paper.experiments import fig3, fig7, mala
from parascan.paper.experiments.langevin_chains import Chain, log_density, log_slope
from parascan.paper.experiments.mala_chain import MetropolisStep, chain
from parascan.paper.harness.claims import Verdict

ENDS = (20, 60, 150)


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def run(experiment, config, tmp_path):
    """The dataset of a configuration."""
    return experiment.gather(config, [experiment.measure(point, tmp_path) for point in experiment.points(config)])


@pytest.fixture(scope="module")
def landscape(tmp_path_factory):
    """Figure 3 on two short chains."""
    with jax.enable_x64(True):
        config = fig3.Config(seeds=1, ends=ENDS, resolution=35)
        return run(fig3.EXPERIMENT, config, tmp_path_factory.mktemp("landscape"))


def by_quantity(claims, start):
    """The only claim whose quantity starts so."""
    (found,) = [claim for claim in claims if claim.quantity.startswith(start)]
    return found


@pytest.mark.slow
def test_updates_of_a_chain_are_those_of_a_rollout_of_that_length():
    chain_of_seed = Chain(3, ENDS, 1e-10)
    system, xs, guess = chain_of_seed.build()
    for end, count in list(zip(ENDS, chain_of_seed.updates(), strict=True))[1:2]:
        solution = ps.rollout(
            system.step, system.initial_state, xs[:end], solver=ps.deer(), criterion=ps.Merit(1e-10), guess=guess[:end]
        )
        assert int(solution.stats.iterations) == count


@pytest.mark.slow
def test_figure_3_landscape_has_its_wells_and_the_norm_of_its_curvature(landscape):
    dataset = landscape
    lowest = dataset.potential.where(dataset.potential == dataset.potential.min(), drop=True)
    assert float(lowest.across[0]) == pytest.approx(-1.4, abs=0.3)
    assert float(lowest.along[0]) == pytest.approx(0.0, abs=0.1)
    # Far from the other well the curvature is that of one Gaussian, the same along both coordinates.
    assert float(dataset.norm.sel(across=-4.0)[0]) == pytest.approx(1 - 0.01 / 0.45, abs=1e-4)
    assert float(dataset.norm.max()) > 1.02
    assert list(dataset.seed.values) == [7, 0]
    assert fig3.EXPERIMENT.figure(dataset).axes


@pytest.mark.slow
def test_figure_3_claims_hold_for_the_published_numbers_and_fail_for_planted_ones(landscape):
    long = landscape.copy(deep=True).assign_coords(length=[100, 1000, 10_000])
    long["exponent"][:] = -1.45
    long["updates"][:] = np.array([5, 10, 20])
    assert {claim.verdict for claim in fig3.claims(long)} == {Verdict.met}
    long["exponent"][:] = 0.2
    long["updates"][:] = np.array([5, 50, 500])
    assert {claim.verdict for claim in fig3.claims(long)} == {Verdict.missed}


@pytest.mark.slow
def test_figure_7_ends_where_newton_does_and_starts_at_the_guess(tmp_path):
    config = fig7.Config(seeds=1, ends=ENDS, iterations=8)
    dataset = run(fig7.EXPERIMENT, config, tmp_path)
    last = int(np.isfinite(dataset.merits.values[0]).sum()) - 1
    assert last == int(dataset.updates[0, -1])
    assert float(dataset.merits[0, last]) <= 1e-10 < float(dataset.merits[0, last - 1])
    assert float(dataset.merits[0, 0]) == pytest.approx(2.0, rel=0.3), "half of two squares of twice unit variance"
    assert fig7.EXPERIMENT.figure(dataset).axes
    dataset["exponents"][:] = 1.0
    assert by_quantity(fig7.claims(dataset), "exponent of any later iterate").verdict is Verdict.missed


def test_log_slope_is_the_power():
    ends = np.array([10, 100, 1000, 10_000])
    assert log_slope(ends, np.array([99.0, 2.0, 2 * 10**0.5, 20.0]), 100) == pytest.approx(0.5)


def test_metropolis_accepts_by_the_ratio_of_two_gaussians():
    step, state, noise = chain(0.6, 16, jax.random.key(0))
    quiet = jnp.zeros(2)

    def density(point, center):
        return -jnp.sum((point - (center - 0.6 * gradient(center))) ** 2) / (4 * 0.6)

    gradient = jax.jit(jax.grad(lambda s: -log_density(step.proposal, s)))
    advance = jax.jit(lambda s, x: step(s, x))
    propose = jax.jit(lambda s, w: step.proposal(s, w))
    log_target = jax.jit(lambda s: log_density(step.proposal, s))
    accepted = 0
    for x in np.asarray(noise):
        proposed = propose(state, quiet) + jnp.sqrt(1.2) * x[:2]
        ratio = log_target(proposed) - log_target(state)
        ratio += density(state, proposed) - density(proposed, state)
        after = advance(state, jnp.asarray(x))
        expected = proposed if x[2] < ratio else state
        assert np.allclose(after, expected, rtol=1e-12, atol=1e-12)
        accepted += bool(x[2] < ratio)
        state = after
    assert 3 < accepted < 14


@pytest.mark.slow
def test_metropolis_keeps_the_density_and_a_sharp_smooth_accept_is_the_jump():
    step, start, noise = chain(0.3, 30_000, jax.random.key(1))
    states = ps.rollout(step, start, noise, solver=ps.Sequential()).states
    # Mean and variance of the mixture 0.49 N(-1.4, 0.45) + 0.51 N(1.6, 0.54) across the wells.
    assert float(states[:, 0].mean()) == pytest.approx(0.13, abs=0.25)
    assert float(states[:, 1].var()) == pytest.approx(0.45, rel=0.1)
    sharp = MetropolisStep(step.proposal, 1e6)
    assert np.allclose(jax.vmap(sharp)(states[:50], noise[1:51]), states[1:51], atol=1e-6)


@pytest.mark.slow
def test_mala_measures_what_it_claims(tmp_path):
    config = mala.Config((0.05, 0.9), seeds=1, length=600, exponent_length=600)
    dataset = run(mala.EXPERIMENT, config, tmp_path)
    assert float(dataset.accepted[0, 0]) > 0.95 > 0.6 > float(dataset.accepted[1, 0])
    assert float(dataset.exponent[0, 0]) < -0.04
    assert float(dataset.apart[0, 0]) < 1e-6
    assert float(dataset.error.sel(step_size=0.05).max()) < 1e-2
    assert mala.EXPERIMENT.figure(dataset).axes
    dataset["accepted"][0] = 0.0
    assert by_quantity(mala.claims(dataset), "acceptance").verdict is Verdict.missed
