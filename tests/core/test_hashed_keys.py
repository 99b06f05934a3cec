"""Keys whose numbers are hashes: as random as probes need, different where keys differ, and quick to compile."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from parascan.programs.hashed_keys import hashed

LEVEL = 1e-6
"""Probability below which a sample is not of its distribution."""

MADE = {
    "seeds": lambda: jax.vmap(lambda seed: hashed(jax.random.key(seed)))(jnp.arange(64)),
    "split": lambda: jax.random.split(hashed(jax.random.key(3)), 64),
    "folded": lambda: jax.vmap(lambda data: jax.random.fold_in(hashed(jax.random.key(3)), data))(jnp.arange(64)),
    "split of what was split": lambda: jax.vmap(lambda key: jax.random.split(key)[1])(
        jax.random.split(hashed(jax.random.key(3)), 64)
    ),
    "hashed twice": lambda: hashed(jax.random.split(hashed(jax.random.key(3)), 64)),
}
"""Keys that belong together, of which no two may have anything in common."""


@pytest.mark.parametrize("made", MADE)
def test_bits_are_even_and_those_of_related_keys_independent(made: str) -> None:
    count = 2**11
    words = np.asarray(jax.vmap(lambda key: jax.random.bits(key, (count,), jnp.uint32))(MADE[made]()))
    bits = np.unpackbits(words.view(np.uint8)[..., None], axis=-1).reshape(len(words), -1).astype(float) * 2 - 1
    limit = stats.norm.isf(LEVEL / len(words) ** 2) / np.sqrt(bits.shape[1])
    assert np.abs(bits.mean(axis=1)).max() < limit
    together = bits @ bits.T / bits.shape[1]
    assert np.abs(together - np.eye(len(words))).max() < limit
    for lag in (1, 2, 31, 32, 33, 64, 1024):
        assert np.abs((bits[:, lag:] * bits[:, :-lag]).mean(axis=1)).max() < 2 * limit, lag


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_numbers_are_of_their_distributions(dtype: str) -> None:
    with jax.enable_x64(dtype == "float64"):
        keys = jax.random.split(hashed(jax.random.key(5)), 2)
        uniform = np.asarray(jax.random.uniform(keys[0], (200, 100), dtype), np.float64).ravel()
        normal = np.asarray(jax.random.normal(keys[1], (200, 100), dtype), np.float64).ravel()
    assert uniform.min() >= 0
    assert uniform.max() < 1
    if dtype != "bfloat16":
        assert stats.kstest(uniform, "uniform").pvalue > LEVEL
        assert stats.kstest(normal, "norm").pvalue > LEVEL
    assert abs(uniform.mean() - 0.5) < 0.02
    assert abs(normal.std() - 1) < 0.03


def test_directions_have_no_preferred_axis() -> None:
    vectors = np.asarray(jax.random.normal(hashed(jax.random.key(7)), (20000, 3)), np.float64)
    covariance = np.cov(vectors.T)
    np.testing.assert_allclose(covariance, np.eye(3), atol=0.06)


def test_no_two_keys_of_many_are_alike() -> None:
    data = np.asarray(jax.random.key_data(jax.random.split(hashed(jax.random.key(0)), 2**16)))
    assert len(np.unique(data, axis=0)) == 2**16


def test_keys_of_every_generator_serve_and_differ() -> None:
    given = [jax.random.key(1), jax.random.key(2), jax.random.PRNGKey(3), jax.random.key(1, impl="rbg")]
    drawn = [float(jax.random.normal(hashed(key))) for key in given]
    assert len(set(drawn)) == len(drawn)
    assert drawn[0] == float(jax.jit(lambda key: jax.random.normal(hashed(key)))(given[0]))


def test_a_batch_of_keys_draws_what_each_alone_does() -> None:
    keys = jax.random.split(jax.random.key(1), 5)
    batch = jax.vmap(lambda key: jax.random.normal(hashed(key), (3,)))(keys)
    alone = jnp.stack([jax.random.normal(hashed(key), (3,)) for key in keys])
    np.testing.assert_array_equal(batch, alone)


def test_a_draw_is_part_of_one_kernel() -> None:
    """The default generator is a loop of a dozen kernels at each use, which a diagnosis would compile for seconds."""

    def program(key: jax.Array) -> list[jax.Array]:
        return [jax.random.normal(each, (3, 2)) for each in jax.random.split(hashed(key), 4)]

    text = jax.jit(program).lower(jax.random.key(0)).compile().as_text()
    assert " while(" not in text
    assert text.count(" fusion(") <= 8
