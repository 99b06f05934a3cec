"""Slopes that ask which number is the larger one, in dtypes whose rounding XLA may leave out between operations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import fewer, one_of_each, product
from parascan.programs.closure import close_over
from parascan.programs.narrow import comparing_rounded

DRAW = np.random.default_rng(0)
ONE = np.eye(8)[DRAW.integers(0, 8, 4096)]
STATES, PUSHES = (
    ONE * DRAW.uniform(0.1, 0.9, size=(4096, 1)),
    (DRAW.random((4096, 8)) < 0.01) * DRAW.normal(size=(4096, 8)),
)


def relative_to_the_largest(p, s, x):
    return s * p[0] - 0.5 * jnp.max(s * p[1] + x)


def clipped(p, s, x):
    return jnp.clip(s + 0.25 * s * p[0] - 0.1 * jnp.sum(s) * p[1] + x, 0, 1)


def pushed_by_others(p, s, x):
    return jnp.clip(s + 0.25 * (s * p[0] - p[1] * (jnp.sum(s) - s)) + x, 0, 1)


def slopes(step, dtype, make, compiled):
    p = jnp.asarray(0.31, dtype), jnp.asarray(1.09, dtype)

    def run(states, pushes):
        made = make(close_over(lambda s, x: (step(p, s, x), None), states[0], pushes[0]))
        return jax.vmap(jax.jacfwd(lambda s, x: made(s, x)[0]))(states, pushes)

    args = jnp.asarray(STATES, dtype), jnp.asarray(PUSHES, dtype)
    return np.float64((jax.jit(run) if compiled else run)(*args))


@pytest.mark.parametrize(
    ("step", "dtype"),
    one_of_each(product([relative_to_the_largest, clipped, pushed_by_others], ["bfloat16", "float16"])),
)
def test_compiled_slopes_are_those_of_one_operation_after_the_other(step, dtype):
    exact = slopes(step, dtype, lambda step: step, compiled=False)

    def wrong(make):
        return np.mean(np.abs(slopes(step, dtype, make, compiled=True) - exact).max(axis=(1, 2)) > 0.1)

    assert wrong(comparing_rounded) < 1e-3


WAYS = {"chunks": ps.Chunked(chunks=8), "loop": ps.Sequential()}


@pytest.mark.parametrize(
    ("size", "way", "dtype"),
    fewer(one_of_each(product([1e-5, 1e-7, 1e-30], WAYS, ["bfloat16", "float16"])), "1e-05-chunks-bfloat16"),
)
def test_comparisons_leave_the_smallest_numbers_alone(size, way, dtype):
    xs = jnp.asarray(size * np.abs(DRAW.normal(size=(2048, 4))), dtype)

    def step(s, x):
        s = jnp.maximum(s * 0.5 + x, 0)
        return s, (s, s > size, jnp.minimum(s * 0.3, size), s == 0)

    init = jnp.zeros(4, dtype)
    ours, loop = ps.scan(step, init, xs, solver=WAYS[way]), jax.lax.scan(step, init, xs)
    eps, least = float(jnp.finfo(dtype).eps), float(jnp.finfo(dtype).smallest_subnormal)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(loop), strict=True):
        if one.dtype == bool:
            assert np.mean(np.asarray(one) != np.asarray(other)) < 0.05
        else:
            np.testing.assert_allclose(np.float64(one), np.float64(other), rtol=8 * eps, atol=4 * least)
