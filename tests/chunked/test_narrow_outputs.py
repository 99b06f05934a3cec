"""Outputs of bfloat16, which XLA copies as a whole at every step of a loop on a CPU, leave loops as bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import fewer, one_of_each, product
from parascan.programs.inside import programs_of

HALF = jnp.bfloat16
BOUND = 4 * float(jnp.finfo(HALF).eps)
WEIGHTS = np.random.default_rng(0).normal(size=(4, 4)) / 2


def cell(gain):
    weights = jnp.asarray(gain * WEIGHTS, HALF)

    def step(carry, x):
        s, n = carry
        s = jnp.tanh(weights @ s + x)
        return (s, n + 1), {"state": s, "doubled": (2 * s).astype(jnp.float32), "count": n, "finite": jnp.isfinite(s)}

    return step


def inputs(length):
    return jnp.asarray(np.random.default_rng(1).normal(size=(length, 4)), HALF)


def body(eqn):
    """What a loop repeats: a closed program, or a plain one from JAX 0.12 on."""
    return getattr(eqn.params["jaxpr"], "jaxpr", eqn.params["jaxpr"])


def stacked(program):
    """Dtypes of what the scans of a program put out."""
    own = [
        atom.aval.dtype
        for eqn in program.eqns
        if eqn.primitive.name == "scan"
        for atom, of_step in zip(eqn.outvars, body(eqn).outvars, strict=True)
        if atom.aval.ndim > 1 and atom.aval.shape != of_step.aval.shape
    ]
    return own + [dtype for eqn in program.eqns for part in programs_of(eqn) for dtype in stacked(part)]


@pytest.mark.parametrize(("gain", "chunks"), fewer(one_of_each(product([0.5, 8], [None, 4])), "8-4"))
def test_outputs_are_those_of_the_loop(gain, chunks):
    step, xs = cell(gain), inputs(6000)
    init = (jnp.zeros(4, HALF), jnp.asarray(0))
    solver = None if chunks is None else ps.Chunked(chunks=chunks)
    ours, loop = ps.scan(step, init, xs, solver=solver), jax.lax.scan(step, init, xs)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(loop), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(np.float64(one), np.float64(other), rtol=BOUND, atol=BOUND)


def test_no_loop_of_the_default_stacks_bfloat16():
    step, xs = cell(0.5), inputs(6000)
    init = (jnp.zeros(4, HALF), jnp.asarray(0))
    assert HALF in stacked(jax.make_jaxpr(lambda xs: jax.lax.scan(step, init, xs))(xs).jaxpr)
    for call in (ps.scan, lambda *args: ps.rollout(*args, throw=False).states):
        assert HALF not in stacked(jax.make_jaxpr(lambda xs, call=call: call(step, init, xs))(xs).jaxpr)


@pytest.mark.slow
def test_gradients_go_through():
    step, xs = cell(0.5), inputs(2000)
    init = (jnp.zeros(4, HALF), jnp.asarray(0))
    loss = lambda scan: lambda xs: jnp.sum(scan(step, init, xs)[1]["doubled"])  # noqa: E731
    ours = jax.jit(jax.grad(loss(lambda *args: ps.scan(*args, solver=ps.Chunked(chunks=4)))))(xs)
    loop = jax.jit(jax.grad(loss(jax.lax.scan)))(xs)
    np.testing.assert_allclose(np.float64(ours), np.float64(loop), rtol=0.1, atol=0.1)
