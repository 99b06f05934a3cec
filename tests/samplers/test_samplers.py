"""Diffusion samplers: their steps are those of their papers, and every solver gives the sequential sample."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from mixtures import DEVIATION, MEANS, exact_eps, made, written_down

import parascan as ps
from combinations import exhaustive
from parascan.samplers import cosine_levels, ddim, ddpm, euler_sde, linear_levels, sample
from parascan.samplers.coarse_start import coarse_trajectory

STEPS = 60
X = np.asarray([0.7, -0.4])
SAMPLERS = {"ddim": ddim, "ddpm": ddpm, "euler_sde": euler_sde}


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def solvers(sampler):
    return {
        "default": None,
        "sequential": ps.Sequential(),
        "picard": sampler.picard(),
        "plain picard": ps.picard(),
        "quasi": ps.quasi_deer(),
        "stochastic": ps.Newton(ps.StochasticDiagonal(jax.random.key(3), probes=2)),
        "deer": ps.deer(),
        "window": ps.samplers.Window(16),
        "all steps": ps.samplers.Window(STEPS),
        "mixed": ps.Anderson(sampler.picard()),
        "parareal": ps.samplers.Parareal(7),
    }


def noise_of(sampler, seed=1):
    return sampler.noise(jax.random.key(seed), jnp.asarray(X))


@pytest.mark.parametrize("levels", [cosine_levels, linear_levels])
@pytest.mark.parametrize("name", SAMPLERS)
def test_steps_are_those_of_the_papers(name, levels):
    levels = levels(STEPS)
    sampler = made(SAMPLERS[name], STEPS, levels)
    noise = noise_of(sampler)
    expected = written_down(name, exact_eps(levels), levels, X, noise)
    np.testing.assert_allclose(
        sample(sampler, X, noise, solver=ps.Sequential(), bound=False).states, expected, rtol=1e-9, atol=1e-9
    )


def test_eta_leads_from_ddim_to_ddpm():
    levels, noise = cosine_levels(STEPS), noise_of(made(ddpm))
    half = sample(made(ddim, eta=0.5), X, noise, bound=False).states
    np.testing.assert_allclose(half, written_down("ddim", exact_eps(levels), levels, X, noise, 0.5), rtol=1e-8)
    np.testing.assert_allclose(made(ddim, eta=1.0).slope, made(ddpm).slope)


BY_DEFAULT = [("ddim", "stochastic"), ("ddpm", "window"), ("euler_sde", "picard")]
PAIRS = [
    ("ddim", name) for name in ("default", "deer", "picard", "plain picard", "quasi", "mixed", "window", "parareal")
]
PAIRS += [("ddpm", "picard"), ("ddpm", "mixed"), ("euler_sde", "all steps")]


@pytest.mark.parametrize(("name", "solver"), BY_DEFAULT + exhaustive(PAIRS))
def test_every_solver_gives_the_sequential_sample_within_what_its_jumps_amount_to(name, solver):
    sampler = made(SAMPLERS[name])
    noise = noise_of(sampler)
    found = sample(sampler, X, noise, solver=solvers(sampler)[solver], bound=False)
    reference = written_down(name, exact_eps(cosine_levels(STEPS)), cosine_levels(STEPS), X, noise)
    assert float(found.jump) <= 1e-3 * (1 + 1e-6)
    assert int(found.evaluations) <= STEPS + 1
    np.testing.assert_allclose(found.x, reference[-1], atol=0.02)
    assert "not bounded" in str(found)


# A certificate is compiled for each.
@pytest.mark.slow
@pytest.mark.parametrize("solver", ["picard", "window"])
def test_the_bound_holds(solver):
    sampler = made(ddim)
    reference = sample(sampler, X, solver=ps.Sequential(), bound=False).x
    found = sample(sampler, X, solver=solvers(sampler)[solver])
    error = float(jnp.linalg.norm(found.x - reference))
    assert 0 < error <= float(found.bound) < 20 * error
    assert "error at most" in str(found)


@pytest.mark.slow
def test_picard_of_ddim_is_that_of_the_variable_in_which_its_steps_add_up():
    """In ``x / sqrt(share)`` the steps of DDIM are sums: there Picard has factor one."""
    levels = cosine_levels(STEPS)
    sampler, eps = made(ddim), exact_eps(levels)
    share = np.asarray(levels)
    step = lambda y, row: y + row[1] / row[2] * eps(y * row[0], row[3])  # noqa: E731
    rows = jnp.stack([jnp.sqrt(share[:-1]), sampler.slope, jnp.sqrt(share[1:]), jnp.arange(float(STEPS))], axis=1)
    first = {"max_iterations": 4, "throw": False}
    other = ps.rollout(step, jnp.asarray(X) / np.sqrt(share[0]), rows, solver=ps.picard(), **first)
    guess = jnp.sqrt(share[1:] / share[0])[:, None] * X
    inputs = sampler.inputs(jnp.asarray(X), None)
    found = ps.rollout(sampler, jnp.asarray(X), inputs, solver=sampler.picard(), guess=guess, **first)
    np.testing.assert_allclose(found.states, other.states * np.sqrt(share[1:])[:, None], rtol=1e-10)


def test_a_coarse_start_of_ddim_is_ddim_with_as_many_steps():
    levels = cosine_levels(STEPS)
    sampler = made(ddim)
    found = coarse_trajectory(sampler, jnp.asarray(X), sampler.inputs(jnp.asarray(X), None), 12)
    coarse = ddim(exact_eps(levels), levels[::5], times=5.0 * jnp.arange(12))
    np.testing.assert_allclose(found[4::5], sample(coarse, X, bound=False).states, rtol=1e-9)
    np.testing.assert_allclose(
        coarse_trajectory(sampler, jnp.asarray(X), sampler.inputs(jnp.asarray(X), None), STEPS),
        sample(sampler, X, bound=False).states,
    )


@pytest.mark.slow  # a certificate is compiled for a batch of 200
def test_a_loose_tolerance_is_told_by_the_bound():
    """DDIM amplifies: of many starts some end in another mode, and their bounds do not say otherwise."""
    sampler = made(ddim)
    starts = jax.random.normal(jax.random.key(5), (200, 2))
    reference = jax.vmap(lambda x: sample(sampler, x, solver=ps.Sequential(), bound=False).x)(starts)
    loose = ps.StepError(0.3, weights=sampler.left)
    found = jax.jit(jax.vmap(lambda x: sample(sampler, x, solver=ps.samplers.Window(20), criterion=loose)))(starts)
    errors = np.linalg.norm(found.x - reference, axis=1)
    assert errors.max() > 1
    assert (errors <= np.asarray(found.bound)).all()
    assert np.median(np.asarray(found.bound)[errors > 1]) > 1
    assert np.median(np.asarray(found.bound)[errors < 0.1]) < 1


def test_the_window_accepts_what_its_criterion_says():
    """Jumps are within tolerance, a smaller one takes more rounds, and a window of one step is the plain loop."""
    sampler = made(ddim)
    rounds = []
    for tol in (0.1, 0.01, 1e-6):
        criterion = ps.StepError(tol, weights=sampler.left)
        found = sample(sampler, X, solver=ps.samplers.Window(20), criterion=criterion, bound=False)
        assert float(found.jump) <= tol * (1 + 1e-6)
        rounds.append(int(found.evaluations))
    assert rounds == sorted(rounds)
    one = sample(sampler, X, solver=ps.samplers.Window(1), bound=False)
    assert int(one.evaluations) == STEPS
    np.testing.assert_allclose(one.states, sample(sampler, X, bound=False).states, rtol=1e-12)


@pytest.mark.slow
def test_a_coarse_start_is_counted_and_spares_rounds():
    sampler = made(ddim)
    cold, warm = (sample(sampler, X, solver=sampler.picard(), coarse=each, bound=False) for each in (None, 15))
    assert int(warm.evaluations) - 15 < int(cold.evaluations)
    whole = sample(sampler, X, solver=ps.samplers.Window(20), coarse=STEPS, bound=False)
    assert int(whole.evaluations) == STEPS + -(-STEPS // 20)


@pytest.mark.slow
def test_states_of_a_hundred_thousand_entries_need_no_jacobian():
    """A Jacobian of a step would take 40 GB."""
    mixed = lambda x, t: jnp.tanh(x + 0.1 * jnp.roll(x, 1))  # noqa: E731
    sampler = ddim(mixed, cosine_levels(12))
    x = jax.random.normal(jax.random.key(0), (100_000,), jnp.float32)
    reference = sample(sampler, x, solver=ps.Sequential()).x
    for solver in (sampler.picard(), ps.samplers.Window(8)):
        found = sample(sampler, x, solver=solver)
        assert not bool(found.bounded)
        assert found.x.dtype == jnp.float32
        assert int(found.evaluations) < 12
        np.testing.assert_allclose(found.x, reference, atol=0.05)


def test_gradients_reach_the_network():
    """Exactly, whatever solver iterates: of a factor of the network's answer, and of the first state."""
    levels = cosine_levels(STEPS)

    def loss(factor, x, solver):
        eps = exact_eps(levels)
        sampler = ddim(lambda x, t: factor * eps(x, t), levels, times=jnp.arange(float(STEPS)))
        given = sampler.picard() if solver else ps.Sequential()
        tight = ps.StepError(1e-12) if solver else None
        return jnp.sum(sample(sampler, x, solver=given, criterion=tight, bound=False).x ** 2)

    expected = jax.grad(loss, argnums=(0, 1))(1.1, jnp.asarray(X), False)
    for given, true in zip(jax.grad(loss, argnums=(0, 1))(1.1, jnp.asarray(X), True), expected, strict=True):
        np.testing.assert_allclose(given, true, rtol=1e-7)


@pytest.mark.slow
def test_samples_of_the_mixture_are_of_the_mixture():
    """With the exact score and fine steps, the coordinate of a mode has its deviation, and modes their shares."""
    sampler = made(ddpm, 200)
    starts = jax.random.normal(jax.random.key(5), (4000, 2))
    keys = jax.random.split(jax.random.key(6), 4000)
    run = lambda x, key: sample(sampler, x, sampler.noise(key, x), solver=ps.Sequential(), bound=False).x  # noqa: E731
    found = np.asarray(jax.jit(jax.vmap(run))(starts, keys))
    nearest = np.argmin(np.linalg.norm(found[:, None] - MEANS, axis=-1), axis=1)
    assert scipy.stats.chisquare(np.bincount(nearest)).pvalue > 1e-3
    rest = found - MEANS[nearest]
    np.testing.assert_allclose(rest.std(0), DEVIATION, rtol=0.08)


OTHER = made(ddpm)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sample(made(ddim), X, criterion=ps.Merit(), solver=ps.picard()), "criterion: given Merit"),
        (lambda: sample(made(ddim), X, criterion=ps.StateError(), solver=ps.samplers.Window(4)), "with Window"),
        (lambda: sample(made(ddim), X, max_iterations=3, solver=ps.samplers.Window(4)), "max_iterations: given 3"),
        (lambda: sample(made(ddim), X, np.zeros((STEPS, 2))), "noise: given shape .* expected None"),
        (lambda: sample(OTHER, X), "noise: given None, expected noise of shape"),
        (lambda: sample(OTHER, X, np.zeros((STEPS, 3))), "noise: given shape"),
        (lambda: sample(made(ddim), np.asarray([1, 2])), "x: given dtype int"),
        (lambda: sample(made(ddim), X, coarse=STEPS + 1), "coarse: given 61"),
        (lambda: sample(made(ddim), X, coarse=1.5), "coarse"),
        (lambda: sample(3, X), "sampler: given int"),
        (lambda: ps.samplers.Window(0), "size"),
        (lambda: ddim(3, cosine_levels(4)), "eps: given int"),
        (lambda: ddim(exact_eps, cosine_levels(4), eta=2), "eta: given 2"),
        (lambda: ddim(exact_eps, [1.0, 0.5]), "levels: given shares that do not ascend"),
        (lambda: ddim(exact_eps, [0.5]), "levels: given shape"),
        (lambda: ddim(exact_eps, cosine_levels(4), times=jnp.arange(5.0)), "times: given shape"),
        (lambda: cosine_levels(0), "steps"),
        (lambda: cosine_levels(4, -1), "offset: given -1"),
        (lambda: linear_levels(4, 0.0), "low, high: given 0.0"),
        (lambda: ps.StepError(0), "criterion.tol: given 0"),
        (lambda: ps.StepError(1, jnp.zeros(3)), "criterion.weights: given a weight"),
        (lambda: ps.StepError(1, jnp.ones((3, 2))), "criterion.weights: given shape"),
        (
            lambda: sample(made(ddim), X, solver=ps.picard(), criterion=ps.StepError(1, jnp.ones(3))),
            "criterion.weights: given 3 for 60",
        ),
        (
            lambda: sample(made(ddim), X, solver=ps.samplers.Window(5), criterion=ps.StepError(1, jnp.ones(3))),
            "criterion.weights: given shape",
        ),
        (
            lambda: ps.rollout(lambda s, x: s, jnp.ones(2), length=3, solver=made(ddim).picard()),
            "solver: given a sampler's picard",
        ),
    ],
)
def test_wrong_arguments_are_refused(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call()


def test_a_network_that_breaks_is_told():
    broken = ddim(lambda x, t: jnp.where(t < 0.5, jnp.nan, x), cosine_levels(12))
    with pytest.raises(ps.RolloutError, match="leaves the finite numbers"):
        sample(broken, X, solver=ps.samplers.Window(4), bound=False)
    kept = sample(broken, X, solver=ps.samplers.Window(4), bound=False, throw=False)
    assert kept.result == ps.Result.nonfinite
