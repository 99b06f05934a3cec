"""Parareal over noise levels: its rounds are those of the papers, and its jumps are where and as small as it says."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mixtures import made

import parascan as ps
from combinations import exhaustive
from parascan.samplers import Parareal, Window, ddim, ddpm, sample

STEPS = 60
X = np.asarray([0.7, -0.4])


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def by_hand(sampler, noise, blocks, tolerance):
    """Parareal by loops over blocks: all states, and the number of rounds."""
    inputs = sampler.inputs(jnp.asarray(X), noise)
    each = -(-sampler.steps // blocks)
    edges = [*range(0, sampler.steps, each), sampler.steps]
    spans = [range(a, b) for a, b in itertools.pairwise(edges)]
    row = lambda k: jax.tree.map(lambda leaf: leaf[k], inputs)  # noqa: E731
    step = jax.jit(lambda x, given: sampler(x, given))

    def fine(x, span):
        states = []
        for k in span:
            x = np.asarray(step(x, row(k)))
            states.append(x)
        return states

    def coarse(x, span):
        answer = np.asarray(sampler.eps(jnp.asarray(x), inputs.time[span[0]]))
        for k in span:
            given = row(k)
            fresh = 0.0 if noise is None else float(given.deviation) * np.asarray(given.noise)
            x = float(given.scale) * x + float(given.slope) * answer + fresh
        return x

    starts, said = [X], []
    for span in spans[:-1]:
        said.append(coarse(starts[-1], span))
        starts.append(said[-1])
    accepted, rounds = 1, 0
    while True:
        rounds += 1
        found = [fine(x, span) for x, span in zip(starts, spans, strict=True)]
        gap = [np.sqrt(np.mean((a - f[-1]) ** 2)) for a, f in zip(starts[1:], found[:-1], strict=True)]
        known = accepted if rounds == 1 else accepted + 1
        accepted = 1
        while accepted < len(spans) and (
            accepted < known or gap[accepted - 1] <= tolerance * float(sampler.left[spans[accepted - 1][-1]])
        ):
            accepted += 1
        if accepted == len(spans):
            break
        fresh, led = [X], []
        for j, span in enumerate(spans[:-1]):
            led.append(coarse(fresh[-1], span))
            corrected = led[-1] + found[j][-1] - said[j]
            fresh.append(starts[j + 1] if j + 1 < accepted else found[j][-1] if j + 1 == accepted else corrected)
        starts, said = fresh, led
    for f, start in zip(found[:-1], starts[1:], strict=True):
        f[-1] = start
    return np.concatenate(found), rounds * (each + len(spans) - 1)


@pytest.mark.parametrize(("kind", "blocks"), [(ddpm, 7), *exhaustive([(ddim, 11), (ddim, 6)])])
def test_rounds_are_those_of_parareal(kind, blocks):
    sampler = made(kind, STEPS)
    noise = sampler.noise(jax.random.key(1), jnp.asarray(X))
    found = sample(sampler, X, noise, solver=Parareal(blocks), bound=False)
    states, evaluations = by_hand(sampler, noise, blocks, 1e-3)
    np.testing.assert_allclose(found.states, states, rtol=0, atol=1e-10)
    assert int(found.evaluations) == evaluations


@pytest.mark.slow
def test_only_the_ends_of_blocks_jump_and_by_less_than_the_tolerance():
    sampler = made(ddim, STEPS)
    found = sample(sampler, X, solver=Parareal(6), criterion=ps.StepError(0.01, sampler.left), bound=True)
    before = jnp.concatenate([jnp.asarray(X)[None], found.states[:-1]])
    jumps = found.states - jax.vmap(sampler)(before, sampler.inputs(jnp.asarray(X), None))
    sizes = np.sqrt(np.mean(np.asarray(jumps) ** 2, axis=1)) / np.asarray(sampler.left)
    ends = np.arange(STEPS) % 10 == 9
    assert sizes[~ends].max() < 1e-12
    assert 1e-6 < sizes[ends].max() <= 0.01
    one_by_one = sample(sampler, X, solver=ps.Sequential(), bound=False).x
    assert float(jnp.linalg.norm(found.x - one_by_one)) <= float(found.bound)


@pytest.mark.parametrize("blocks", [1, 7, STEPS, 1000])
def test_a_tolerance_below_rounding_ends_with_the_sequential_sample(blocks):
    sampler = made(ddpm, STEPS)
    noise = sampler.noise(jax.random.key(2), jnp.asarray(X))
    found = sample(sampler, X, noise, solver=Parareal(blocks), criterion=ps.StepError(1e-30), bound=False)
    reference = sample(sampler, X, noise, solver=ps.Sequential(), bound=False)
    np.testing.assert_allclose(found.states, reference.states, rtol=0, atol=1e-12)


def test_a_network_that_gives_no_number_ends_with_an_error():
    sampler = ddim(lambda x, t: jnp.where(t < 0.5, jnp.nan, x), ps.samplers.cosine_levels(20))
    with pytest.raises(ps.RolloutError, match="leaves the finite numbers"):
        sample(sampler, X, solver=Parareal(4), bound=False)


@pytest.mark.slow
def test_a_batch_under_vmap_has_its_own_evaluations():
    sampler = made(ddim, STEPS)
    starts = jax.random.normal(jax.random.key(3), (6, 2))
    run = lambda x: sample(sampler, x, solver=Parareal(8), bound=False)  # noqa: E731
    together = jax.vmap(run)(starts)
    for index in range(0, 6, 3):
        alone = run(starts[index])
        np.testing.assert_allclose(together.x[index], alone.x, atol=1e-10)
        assert int(together.evaluations[index]) == int(alone.evaluations)


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (lambda s: Parareal(0), ValueError, "blocks: given 0"),
        (lambda s: Parareal(1.5), TypeError, "blocks: given 1.5"),
        (lambda s: sample(s, X, solver=Parareal(3), max_iterations=4), ValueError, "max_iterations: given 4"),
        (lambda s: sample(s, X, solver=Parareal(3), coarse=4), ValueError, "coarse: given 4 with Parareal"),
        (lambda s: sample(s, X, solver=Parareal(3), criterion=ps.StateError()), ValueError, "StateError with Parareal"),
        (lambda s: sample(s, X, solver=Window(3), criterion=ps.StateError()), ValueError, "StateError with Window"),
    ],
)
def test_wrong_arguments_are_refused(build, error, text):
    with pytest.raises(error, match=text):
        build(made(ddim, STEPS))
