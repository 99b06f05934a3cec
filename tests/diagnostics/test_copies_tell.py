"""What copies a finite distance apart tell: rare flips of a memory, slow seasons, and pairs that tell nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from parascan.diagnostics.growth.coupling import coupled
from parascan.diagnostics.growth.jumps import most_distant

T = 4000


def memory(s, x):
    """Two states that stay, of opposite sign; a negative input changes one for the other."""
    return jnp.tanh(3 * s * x)


def flips(seed, number):
    signs = np.ones((T, 1), np.float32)
    signs[np.random.default_rng(seed).integers(100, T, number)] = -1
    return jnp.asarray(signs)


@pytest.mark.parametrize(("seed", "number"), [(0, 12), (4, 12), (5, 6)])
def test_a_memory_that_rarely_flips_is_not_predictable_wherever_paths_start(seed, number):
    found = ps.diagnose(memory, jnp.ones(1), flips(seed, number), key=jax.random.key(0))
    assert float(found.exponent.value) < -1
    assert found.verdict == "marginal"
    assert float(found.coupling.stalled) >= 0.1


@pytest.mark.slow
@pytest.mark.parametrize("slow", [np.exp(-5e-3), np.exp(-8e-3)])
def test_copies_that_have_yet_to_meet_in_a_slow_season_do_not_make_a_system_marginal(slow):
    factors = np.full((20000, 1), 0.5, np.float32)
    for first in range(0, 20000, 5000):
        factors[first + 3000 : first + 4500] = slow
    noise = jnp.asarray(np.random.default_rng(1).normal(size=(20000, 1)), jnp.float32)
    step = lambda s, x: x[0] * s + x[1]  # noqa: E731
    found = ps.diagnose(step, jnp.zeros(1), (jnp.asarray(factors), noise), key=jax.random.key(0))
    assert float(found.coupling.met) < 1
    assert found.verdict == "predictable"


def test_pairs_that_start_within_rounding_tell_nothing():
    distances = jnp.full((3, 20), 1e-9)
    found = coupled(distances, jnp.full(3, 1e-6), jnp.asarray(1e-7), jnp.asarray(0.1))
    assert np.isnan(found.met)
    assert not found.meets
    assert not found.stays


@pytest.mark.slow
def test_a_large_constant_entry_beside_a_system_that_forgets_leaves_it_predictable():
    step = lambda s, x: jnp.stack([1e6 + 0 * s[0], 0.5 * s[1] + x[0]])  # noqa: E731
    xs = jnp.asarray(np.random.default_rng(0).normal(size=(T, 1)), jnp.float32)
    assert ps.diagnose(step, jnp.asarray([1e6, 0.0]), xs, key=jax.random.key(0)).verdict == "predictable"


def test_the_most_distant_state_is_one_of_any_path_and_finite():
    before = jnp.asarray([[[0.0], [3.0], [jnp.inf]], [[1.0], [-4.0], [jnp.nan]]])
    np.testing.assert_array_equal(most_distant(before[:, 0], before), [[-4.0], [-4.0]])
    np.testing.assert_array_equal(most_distant(jnp.asarray([[-2.0]]), before), [[3.0]])
