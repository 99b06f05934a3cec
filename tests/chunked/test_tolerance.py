"""What a user may allow: jumps between chunks up to a tolerance, and copies that start where the states usually are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from remembering import latch_with_bursts, relay

import parascan as ps
from combinations import some
from parascan.chunked.acceptance import COMPARED, allowances
from parascan.planning import compiling_for

T = 8192
XS = jnp.asarray(np.random.default_rng(0).normal(size=(T, 3)), jnp.float32)
HELD = 2.0
SLOPES = jnp.asarray(np.random.default_rng(1).uniform(0.5, 2, 64), jnp.float32)


def noisy_inside(s, x):
    """Adds up large terms that nearly cancel: their rounding is larger than the derivative of the step tells."""
    terms = jnp.tanh(s[:, None] * SLOPES) - jnp.tanh(s[:, None] * (1 + 1e-5) * SLOPES)
    s = 0.5 * s + x + 100 * jnp.sum(terms, axis=1)
    return s, s


def held_when_far(s, x):
    """Moves near its level alone, as a chain whose proposals from elsewhere are all refused."""
    s = jnp.where(jnp.abs(s - HELD) < 1, HELD + 0.5 * (s - HELD) + 0.1 * jnp.tanh(x), s)
    return s, s


def solved(step, init, xs, solver):
    """The default's answer, the sequential one, and how the former was found."""
    solution = ps.rollout(step, init, xs, solver=solver)
    return np.asarray(solution.ys), np.asarray(jax.lax.scan(step, init, xs)[1]), solution.stats


def test_a_tolerance_accepts_what_rounding_inside_a_step_does():
    start = jnp.zeros(3)
    assert solved(noisy_inside, start, XS, ps.Chunked(16, trial_steps=100))[2].fell_back
    found, expected, stats = solved(noisy_inside, start, XS, ps.Chunked(16, trial_steps=100, tolerance=1e-2))
    assert not stats.fell_back
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-2 * np.abs(expected).max())


@pytest.mark.parametrize("visited", [False, True])
def test_no_tolerance_excuses_another_level(visited):
    """Its chunks start on the level that the sequence leaves after some steps, and agree with one another."""
    flip = jnp.ones((T, 3)).at[1000].set(-1e4)

    def step(s, x):
        s = jnp.tanh(4 * s * x) * (1 + 1e-3 * jnp.tanh(x))
        return s, s

    solver = ps.Chunked(16, trial_steps=100, tolerance=0.9, visited=visited)
    found, expected, _ = solved(step, jnp.ones(3), flip, solver)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_an_entry_that_is_never_rounded_must_agree_to_the_bit():
    """Levels 1000 and 1001: their distance is within the tolerance, and they are held."""
    step, start, xs = relay(jnp.float32, T, 1000.5, 0.5, network=3)
    solution = ps.rollout(step, start, xs, solver=ps.Chunked(16, trial_steps=100, tolerance=0.01, visited=True))
    expected = jax.lax.scan(step, start, xs)[0]
    np.testing.assert_array_equal(solution.carry[1], expected[1])


def test_a_tolerance_is_of_the_entry_itself_in_its_own_chunk():
    """A small memory beside states that are a million times as large in other chunks."""
    step, start, xs = latch_with_bursts(jnp.float32, 32768, 1)
    found, expected, _ = solved(step, start, xs, ps.Chunked(32, trial_steps=100, tolerance=1e-3))
    np.testing.assert_allclose(found, expected, rtol=1e-2)
    assert np.array_equal(np.sign(found), np.sign(expected))


def test_what_is_allowed_in_a_chunk_is_a_part_of_its_own_states():
    sizes = jnp.asarray([1.0, 1e6])
    true = jnp.broadcast_to(sizes[:, None], (COMPARED, 2, 1)).at[3].multiply(2)
    halved = jax.tree_util.Partial(lambda s, x: (0.5 * s, s))
    allowed = allowances(halved, 2 * true, true, jnp.zeros((COMPARED, 2)), tolerance=1e-3)
    np.testing.assert_allclose(allowed, jnp.broadcast_to(2e-3 * sizes[:, None], allowed.shape), rtol=1e-6)


@pytest.mark.parametrize("platform", some(["cpu", "gpu"], "cpu"))
@pytest.mark.parametrize("batch", some([1, 3], 1))
def test_copies_set_out_from_where_chunks_have_come_to(batch, platform):
    starts = HELD + 0.1 * jnp.arange(batch * 3.0).reshape(batch, 3)

    def run(solver):
        with compiling_for(platform):
            return jax.vmap(lambda s: ps.rollout(held_when_far, s, XS, solver=solver))(starts)

    assert run(ps.Chunked(16, trial_steps=100)).stats.fell_back.all()
    solution = run(ps.Chunked(16, trial_steps=100, visited=True))
    assert not solution.stats.fell_back.any()
    expected = jax.vmap(lambda s: jax.lax.scan(held_when_far, s, XS)[1])(starts)
    np.testing.assert_allclose(solution.ys, expected, rtol=1e-5)


def test_a_single_chunk_has_no_other_to_visit():
    found, expected, _ = solved(held_when_far, jnp.full(3, HELD), XS, ps.Chunked(1, trial_steps=100, visited=True))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("options", [{"tolerance": "1e-3"}, {"tolerance": True}, {"visited": 1}])
def test_arguments_of_the_wrong_kind_are_refused(options):
    with pytest.raises(TypeError, match=f"{next(iter(options))}: given"):
        ps.Chunked(16, **options)


@pytest.mark.parametrize("tolerance", [-1e-3, 1.0, float("nan")])
def test_a_tolerance_is_a_part(tolerance):
    with pytest.raises(ValueError, match="tolerance: given"):
        ps.Chunked(16, tolerance=tolerance)


def test_rows_before_copies_set_out_are_not_counted_as_warm_up():
    """They set out after a quarter of the trial, 40 rows, and have met at the second look, 32 rows later."""

    def halved(s, x):
        s = 0.4 * s + jnp.tanh(x)
        return s, s

    stats = solved(halved, jnp.ones(3), XS, ps.Chunked(16, trial_steps=160, visited=True))[2]
    assert not stats.fell_back
    assert 32 <= int(stats.warm_up) < 60
