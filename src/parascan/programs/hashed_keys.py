"""Random keys whose numbers are hashes of their places, for programs that have to compile fast.

On a CPU each use of JAX's default generator is a loop of a dozen kernels, which take up to a quarter of a second to
compile; a diagnosis draws at more than twenty places. The numbers of these keys are one kernel, which is mostly part of
another. They serve probes: directions, signs and shares. What a user's own program draws comes from the user's key.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import define_prng_impl
from jaxtyping import Array, Key, UInt32

WORDS = 2
"""Words of 32 bits in a key."""

STEP = np.uint32(0x9E3779B1)
"""Distance of the numbers that neighboring places hash: 2^32 times the golden ratio's fraction, rounded to a prime."""

FOR_KEYS, FOR_DATA = np.uint32(0x3C6EF372), np.uint32(0xA54FF53A)
"""What keeps keys drawn from a key apart from numbers drawn from it."""


def hashed(key: Key[Array, "..."]) -> Key[Array, "..."]:
    """A key for ``jax.random`` whose numbers are hashes, which differ where the given key differs.

    Args:
        key: of any generator, also raw words of 32 bits.
    """
    words = jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key
    return jax.random.wrap_key_data(_folded(words), impl=_GENERATOR)


def _folded(words: UInt32[Array, "... n"]) -> UInt32[Array, "... 2"]:
    """Two words that depend on all of any number of words."""
    states = []
    for index in range(WORDS):
        state = jnp.full(words.shape[:-1], index, jnp.uint32)
        for word in range(words.shape[-1]):
            state = _mixed((state + STEP) ^ words[..., word])
        states.append(state)
    return jnp.stack(states, axis=-1)


def _mixed(bits: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """A one-to-one map of words, after which each bit depends on all (constants: Wellons's search, ``lowbias32``)."""
    bits = (bits ^ (bits >> 16)) * np.uint32(0x7FEB352D)
    bits = (bits ^ (bits >> 15)) * np.uint32(0x846CA68B)
    return bits ^ (bits >> 16)


def _words(key: UInt32[Array, "2"], places: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """One word for each place."""
    return _mixed(_mixed(places * STEP + key[0]) ^ key[1])


def _bits(key: UInt32[Array, "2"], width: int, shape: tuple[int, ...]) -> Array:
    """Numbers of 8, 16, 32 or 64 bits."""
    places = jax.lax.iota(np.uint32, math.prod(shape)).reshape(shape)
    if width < 64:
        return _words(key, places).astype(f"uint{width}")
    high, low = (_words(key, 2 * places + np.uint32(half)).astype(jnp.uint64) for half in range(2))
    return (high << 32) | low


def _split(key: UInt32[Array, "2"], shape: tuple[int, ...]) -> UInt32[Array, "... 2"]:
    """Keys that differ from one another and from those of other keys."""
    return _words(key ^ FOR_KEYS, jax.lax.iota(np.uint32, WORDS * math.prod(shape)).reshape(*shape, WORDS))


def _with(key: UInt32[Array, "2"], data: int) -> UInt32[Array, "2"]:
    """A key that differs for each number, which JAX gives as an array."""
    number = jnp.asarray(data, jnp.uint32)
    return _words(key ^ FOR_DATA, number * np.uint32(WORDS) + jax.lax.iota(np.uint32, WORDS))


def _of_seed(seed: Array) -> UInt32[Array, "2"]:
    """The key of an integer."""
    return _folded(seed.astype(jnp.uint32)[None])


_GENERATOR = define_prng_impl(
    key_shape=(WORDS,), seed=_of_seed, split=_split, random_bits=_bits, fold_in=_with, name="hashed places", tag="hp"
)
