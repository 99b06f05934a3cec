"""Adversarial steps: every answer is that of ``jax.lax.scan`` up to what the written guarantee allows.

Here a slice of the problems; ``make fuzz`` runs 10000 of them by ``attack``. Chunks are let go on by twins that are
blind in most of them, so that the rule of acceptance is all that stands between them and the answer.
"""

import os
from functools import partial

import attack
import given
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
import references

import parascan as ps
from combinations import one_of_each, product

COUNT = int(os.environ.get("FUZZ", "0"))
SLICE = (5, 9, 23, 26, 61, 145)
"""Groups of the default tests."""


def test_no_answer_is_beyond_the_guarantee():
    chunked, violations = 0, []
    for number in SLICE:
        found = attack.run_group(attack.draw_group(number), number, 3)
        chunked, violations = chunked + found.chunked, violations + found.violations
    assert violations == []
    # Were all answers found step by step, none of them would test the rule.
    assert chunked >= 3


def wrong(spoil, reverse=False):
    """What is said of an answer to a gated cell that is spoiled."""
    family = attack.FAMILIES["cell"]
    programs = references.forward_programs(family, ps.Chunked(chunks=4), reverse=reverse)
    random = np.random.default_rng(0)
    args = references.typed(family.draw(random, 512, 4), "float32")
    plain = programs.plain(*args)
    noise = references.noise_for(random, args[1], 512, "float32", np.arange(1, 4) * 128 + 40)
    others = oracle.one_by_one(programs.copies(*args, noise))
    spoiled = jax.tree.map(spoil, plain)
    return oracle.suspicious(spoiled, plain, "float32") and oracle.explained(
        spoiled, plain, others, "float32", reverse=reverse
    )


def test_the_oracle_sees_small_mistakes():
    assert not wrong(lambda leaf: leaf)
    assert not wrong(lambda leaf: leaf * (1 + 1e-6))
    found = wrong(lambda leaf: leaf.at[300, 2].multiply(1 + 1e-4))
    assert found.time == 300
    assert found.entry == (2,)
    assert wrong(lambda leaf: leaf.at[100, 0].set(jnp.nan), reverse=True).time == 100


@pytest.mark.parametrize("blocks", [None, 16])
@pytest.mark.parametrize("dtype", ["float32"] + ["bfloat16", "float16", "float64"] * bool(COUNT))
@pytest.mark.parametrize("case", given.CASES)
def test_the_given_cases(case, dtype, blocks):
    with jax.enable_x64(dtype == "float64"):
        step, arrays = given.CASES[case](dtype)
        p, init, xs = references.typed(arrays, dtype)
        solver = None if blocks is None else ps.Chunked(chunks=blocks)
        ours = jax.jit(lambda p, init, xs: ps.scan(partial(step, p), init, xs, solver=solver)[1])(p, init, xs)
        plain = jax.jit(lambda p, init, xs: jax.lax.scan(partial(step, p), init, xs)[1])(p, init, xs)
        for a, b in zip(oracle.wide(ours), oracle.wide(plain), strict=True):
            bound = 64 * float(jnp.finfo(dtype).eps)
            np.testing.assert_allclose(a, b, rtol=bound, atol=bound * min(1, np.abs(b).max()))


@pytest.mark.parametrize(("name", "dtype"), one_of_each(product(["sign", "relay", "count"], ["float32", "bfloat16"])))
def test_steps_without_any_derivative_have_a_zero_gradient(name, dtype):
    steps = {
        "sign": lambda s, x: (jnp.sign(s + x),) * 2,
        "relay": lambda s, x: (jnp.where(x > 1, 1, jnp.where(x < -1, -1, jnp.sign(s))).astype(x.dtype),) * 2,
        "count": lambda s, x: (jnp.floor(jnp.clip(s + x, -2, 2)),) * 2,
    }
    xs = jnp.asarray(np.random.default_rng(0).normal(size=(4096, 2)), dtype)
    gradient = jax.grad(lambda xs: ps.scan(steps[name], xs[0], xs, solver=ps.Chunked(chunks=4))[1].sum())(xs)
    np.testing.assert_array_equal(np.asarray(gradient), np.zeros((4096, 2)))
