"""Carry entries that nothing reads: what is NaN in them reaches no derivative, as in ``jax.lax.scan``."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import crossed, fewer
from parascan.programs.closure import close_over

RUNS = {
    "default": {},
    "chunks": {"solver": ps.Chunked(chunks=8)},
    "implicit": {"solver": ps.Sequential(), "adjoint": ps.Implicit()},
}


def logarithm(state, unread):
    return jnp.log(jax.nn.relu(-jnp.abs(state[0]))) + unread


def nothing(state, unread):
    return jnp.nan * state[0]


def chain(state, unread):
    first, second = unread
    return jnp.sqrt(0 * state[1]), jax.jit(jnp.log)(first - first) + second


CASES = {
    "logarithm": (logarithm, jnp.float32(0)),
    "nan": (nothing, jnp.float32(0)),
    "chain": (chain, (jnp.zeros(()),) * 2),
}


def gradients(run, cell, case, xs):
    spoil, start = CASES[case]
    arrays, static = eqx.partition(cell, eqx.is_array)

    def value(arrays, init, xs):
        cell = eqx.combine(arrays, static)

        def step(carry, x):
            state = cell(x, carry["state"])
            return {"state": state, "unread": spoil(state, carry["unread"])}, state

        return run(step, {"state": init, "unread": start}, xs)

    return jax.jit(jax.grad(value, (0, 1, 2)))(arrays, jnp.ones(cell.hidden_size), xs)


def agree(given, expected):
    for mine, theirs in zip(jax.tree.leaves(given), jax.tree.leaves(expected), strict=True):
        assert np.isfinite(theirs).all()
        scale = float(jnp.max(jnp.abs(theirs)))
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize(("name", "case"), fewer(crossed(RUNS, CASES, ["chunks"], ["logarithm"]), "default-logarithm"))
def test_no_gradient_is_nan(name, case, getkey):
    cell = eqx.nn.GRUCell(3, 16, key=getkey())
    xs = jax.random.normal(getkey(), (512, 3))
    value = lambda scan: lambda *args: jnp.sum(scan(*args)[1] ** 2)  # noqa: E731
    mine = gradients(value(functools.partial(ps.scan, **RUNS[name])), cell, case, xs)
    agree(mine, gradients(value(jax.lax.scan), cell, case, xs))


@pytest.mark.exhaustive
def test_a_large_cell_by_rollout(getkey):
    cell = eqx.nn.GRUCell(3, 64, key=getkey())
    xs = jax.random.normal(getkey(), (17984, 3))
    expected = gradients(lambda *args: jnp.mean(jax.lax.scan(*args)[1] ** 2), cell, "logarithm", xs)
    states = lambda *args: jnp.mean(ps.rollout(*args, throw=False).states["state"] ** 2)  # noqa: E731
    agree(gradients(states, cell, "logarithm", xs), expected)


def test_the_end_of_what_is_read_without_outputs(getkey):
    cell = eqx.nn.GRUCell(3, 16, key=getkey())
    xs = jax.random.normal(getkey(), (512, 3))

    def end(scan):
        def value(step, init, xs):
            return jnp.sum(scan(lambda c, x: (step(c, x)[0], None), init, xs)[0]["state"] ** 2)

        return value

    expected = gradients(end(jax.lax.scan), cell, "logarithm", xs)
    for options in RUNS.values():
        agree(gradients(end(functools.partial(ps.scan, **options)), cell, "logarithm", xs), expected)


def test_who_is_read_by_whom():
    """A state that is the only one, or read by others, is read; a sum of it that goes nowhere is not."""

    def unread(step, *carry):
        count = len(jax.tree.leaves(carry))
        return close_over(lambda c, x: step(*c, x), carry, jnp.zeros(2)).unread(count, 0)

    one = jnp.zeros(2)
    assert unread(lambda s, n, x: ((s + x, n + s), s), one, one) == [1]
    assert unread(lambda s, n, x: ((s + x, n + s), None), one, one) == [1]
    assert unread(lambda h, c, x: ((h + c, h - c), None), one, one) == []
    assert unread(lambda h, c, x: ((h + x, jax.jit(jnp.add)(h, c)), c), one, one) == []


def test_an_entry_that_only_the_end_reads_has_its_derivative(getkey):
    xs = jax.random.normal(getkey(), (512, 16))

    def total(scan, weight):
        step = lambda c, x: ((jnp.tanh(weight * c[0] + x), c[1] + jnp.sum(c[0])), None)  # noqa: E731
        return scan(step, (jnp.zeros(16), jnp.float32(0)), xs)[0][1]

    chunks = functools.partial(ps.scan, solver=ps.Chunked(chunks=8))
    ours, theirs = (jax.jit(jax.grad(functools.partial(total, scan)))(0.4) for scan in (chunks, jax.lax.scan))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
