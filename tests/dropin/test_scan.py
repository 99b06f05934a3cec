"""``ps.scan`` in the place of ``jax.lax.scan``: every kind of call, the same tree, dtypes and numbers."""

import functools
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import exhaustive, some

SOLVERS = {"default": None, "deer": ps.deer(), "jacobi": ps.jacobi()}


def counter(carry, x):
    state, count, key = carry
    key, draw = jax.random.split(key)
    state = 0.5 * jnp.tanh(state) + 0.1 * jax.random.normal(draw, state.shape, state.dtype) + x
    return (state, count + 1, key), {"state": state, "count": count}


def nested(carry, x):
    first, (second,) = carry["a"], carry["b"]
    return {"a": 0.5 * first + x["u"], "b": (0.3 * second + x["v"].sum(),)}, (first.sum(), None, [second])


def mixed(carry, x):
    low, high, flag = carry
    return (low * 0.5 + x.astype(low.dtype), 0.25 * high + low.astype(high.dtype), ~flag), (low, flag)


def rotation(carry, x):
    return carry * jnp.exp(1j * x).astype(carry.dtype) * 0.5 + 1, jnp.abs(carry)


CALLS = {
    "positional": (lambda c, x: (0.5 * c + x, c), lambda: (jnp.zeros(3), jnp.ones((7, 3)))),
    "python scalar": (lambda c, x: (0.5 * c + x, c * x), lambda: (0.0, jnp.arange(6.0))),
    "weak integer becomes float": (lambda c, x: (0.5 * c + x, c), lambda: (0, jnp.arange(6.0))),
    "weak carry stays weak": (lambda c, _: (0.5 * c, c), lambda: (1.0, None, 5)),
    "no inputs": (lambda c, _: (jnp.cos(c), c), lambda: (jnp.ones(2), None, 9)),
    "unused inputs with length": (lambda c, x: (0.5 * c + x, None), lambda: (jnp.ones(()), jnp.ones(4), 4)),
    "length zero": (lambda c, x: (0.5 * c + x, c), lambda: (jnp.ones(2), jnp.ones((0, 2)))),
    "length one": (lambda c, x: (0.5 * c + x, c), lambda: (jnp.ones(2), jnp.ones((1, 2)))),
    "reverse": (lambda c, x: (0.5 * c + x, c + x), lambda: (jnp.zeros(3), jnp.ones((7, 3)), None, True)),
    "reverse and unroll": (lambda c, x: (0.5 * c + x, c), lambda: (jnp.zeros(3), jnp.ones((7, 3)), None, True, 3)),
    "unroll fully": (lambda c, x: (0.5 * c + x, c), lambda: (jnp.zeros(3), jnp.ones((7, 3)), None, False, True)),
    "counter and key": (counter, lambda: ((jnp.ones(2), 0, jax.random.key(3)), jnp.linspace(0, 1, 8))),
    "raw key": (counter, lambda: ((jnp.ones(2), jnp.uint8(3), jax.random.PRNGKey(3)), jnp.linspace(0, 1, 8))),
    "nested": (
        nested,
        lambda: ({"a": jnp.ones((2, 2)), "b": (jnp.zeros(()),)}, {"u": jnp.ones(5), "v": jnp.ones((5, 3))}),
    ),
    "mixed dtypes": (mixed, lambda: ((jnp.bfloat16(1), jnp.float32(2), True), jnp.arange(6, dtype=jnp.float16))),
    "complex": (rotation, lambda: (jnp.asarray([1 + 1j, 2 - 1j]), jnp.linspace(0, 1, 6))),
    "integer inputs": (lambda c, x: (0.5 * c + x, x), lambda: (jnp.ones(()), jnp.arange(6))),
    "numpy": (lambda c, x: (0.5 * c + x, c), lambda: (np.zeros(3, np.float32), np.ones((7, 3), np.float32))),
    "None in carry": (lambda c, x: ((0.5 * c[0] + x, None), None), lambda: ((jnp.ones(2), None), jnp.ones((4, 2)))),
}


def assert_same(ours, theirs, exactly):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for leaf, expected in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert leaf.dtype == expected.dtype
        assert leaf.shape == expected.shape
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf, expected = jax.random.key_data(leaf), jax.random.key_data(expected)
        if exactly or not jnp.issubdtype(leaf.dtype, jnp.inexact):
            np.testing.assert_array_equal(leaf, expected)
        else:
            eps = float(jnp.finfo(leaf.dtype).eps)
            scale = 1 + np.abs(expected).max(initial=0.0)
            np.testing.assert_allclose(
                leaf.astype(jnp.complex64), expected.astype(jnp.complex64), rtol=0, atol=float(64 * eps * scale)
            )


ITERATED = ["python scalar", "no inputs", "reverse", "counter and key", "nested", "mixed dtypes", "complex"]
"""Calls whose carry or direction iterations treat otherwise; the others run by default with the default."""


@pytest.mark.parametrize(
    ("call", "solver"),
    [
        *((call, "default") for call in CALLS),
        *((call, "deer") for call in ITERATED),
        ("nested", "jacobi"),
        *exhaustive((call, "deer") for call in CALLS if call not in ITERATED),
        *exhaustive((call, "jacobi") for call in CALLS if call != "nested"),
    ],
)
def test_same_tree_as_lax_scan(call, solver):
    f, arguments = CALLS[call]
    ours = ps.scan(f, *arguments(), solver=SOLVERS[solver])
    theirs = jax.lax.scan(f, *arguments())
    assert_same(ours, theirs, exactly=solver == "default")
    if solver == "default":
        weak = lambda tree: [getattr(leaf, "weak_type", None) for leaf in jax.tree.leaves(tree)]  # noqa: E731
        assert weak(ours) == weak(theirs)


def test_integer_carry_alone_is_fine_with_the_default():
    assert int(ps.scan(lambda c, x: (c + x, None), 0, jnp.arange(5))[0]) == 10


def test_discrete_leaves_may_depend_on_floating_ones_with_the_sequential_solver():
    step = lambda c, x: ((c[0] + x, c[1] + (c[0] > 1)), c[1])  # noqa: E731
    assert_same(
        ps.scan(step, (0.0, 0), jnp.ones(5), solver=ps.Sequential()),
        jax.lax.scan(step, (0.0, 0), jnp.ones(5)),
        exactly=True,
    )


@pytest.mark.parametrize("solver", some(SOLVERS, "default", "deer"))
def test_under_jit_vmap_and_a_closure_over_traced_parameters(solver):
    xs = jnp.linspace(0, 1, 40).reshape(2, 20)

    def total(scan, weight):
        return jax.vmap(lambda x: scan(lambda c, u: (jnp.tanh(weight * c + u), c), jnp.float32(0), x)[1].sum())(
            xs
        ).sum()

    ours = functools.partial(total, functools.partial(ps.scan, solver=SOLVERS[solver]))
    theirs = functools.partial(total, jax.lax.scan)
    weight = jnp.float32(0.7)
    np.testing.assert_allclose(jax.jit(ours)(weight), jax.jit(theirs)(weight), rtol=1e-5)
    np.testing.assert_allclose(jax.jit(jax.grad(ours))(weight), jax.grad(theirs)(weight), rtol=1e-5)
    np.testing.assert_allclose(jax.grad(jax.jit(ours))(weight), jax.grad(theirs)(weight), rtol=1e-5)


class Cell(eqx.Module):
    weights: jax.Array
    traces: ClassVar[list] = []

    def __call__(self, carry, x):
        self.traces.append(None)
        return jnp.tanh(self.weights @ carry + x), carry

    def method(self, carry, x):
        return self(carry, x)


@pytest.mark.parametrize("solver", [None, ps.deer()])
def test_a_second_eager_call_traces_nothing(solver):
    traces = []

    def function(carry, x):
        traces.append(None)
        return jnp.tanh(0.5 * carry + x), carry

    init, xs = jnp.zeros(2), jnp.ones((6, 2))
    run = functools.partial(ps.scan, init=init, xs=xs, solver=solver)
    run(function)
    count = len(traces)
    run(function)
    assert len(traces) == count

    run(Cell(jnp.eye(2)))
    count = len(Cell.traces)
    for form in (Cell(2 * jnp.eye(2)), Cell(3 * jnp.eye(2))):
        run(form)
    assert len(Cell.traces) == count

    run(Cell(jnp.eye(2)).method)
    count = len(Cell.traces)
    other = run(Cell(3 * jnp.eye(2)).method)
    assert len(Cell.traces) == count
    np.testing.assert_allclose(other[0], run(Cell(3 * jnp.eye(2)))[0])

    partial = functools.partial(lambda scale, carry, x: function(scale * carry, x))
    run(functools.partial(partial, jnp.float32(0.5)))


def test_compiled_programs_die_with_their_function():
    import gc
    import weakref

    def make():
        weights = jnp.ones(3)
        return lambda carry, x: (weights * carry + x, carry)

    step = make()
    ps.scan(step, jnp.zeros(3), jnp.ones((4, 3)))
    alive = weakref.ref(step)
    del step
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("solver", [None, ps.deer()])
def test_a_batch_spread_over_devices(solver):
    mesh = jax.make_mesh((4,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("batch")
    step = lambda c, x: (jnp.tanh(0.5 * c + x), c)  # noqa: E731
    each = jax.vmap(lambda x: ps.scan(step, jnp.zeros(2), x, solver=solver)[1])
    xs = jnp.linspace(0, 1, 4 * 6 * 2).reshape(4, 6, 2)
    spread = jax.device_put(xs, jax.sharding.NamedSharding(mesh, spec))
    mapped = jax.shard_map(each, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)
    for run in (jax.jit(each), mapped):
        np.testing.assert_allclose(run(spread), each(xs), rtol=1e-6)


@pytest.mark.parametrize("solver", [None, ps.deer()])
def test_inside_another_scan_and_a_checkpoint(solver):
    xs = jnp.linspace(0, 1, 3 * 5 * 2).reshape(3, 5, 2)

    def total(scan, xs):
        inner = jax.checkpoint(lambda c, x: scan(lambda s, u: (jnp.tanh(0.5 * s + u), s), c, x))
        return scan(lambda c, x: (inner(c, x)[0], inner(c, x)[1].sum()), jnp.zeros(2), xs)[1].sum()

    ours = functools.partial(total, functools.partial(ps.scan, solver=solver))
    theirs = functools.partial(total, jax.lax.scan)
    np.testing.assert_allclose(ours(xs), theirs(xs), rtol=1e-5)
    np.testing.assert_allclose(jax.grad(ours)(xs), jax.grad(theirs)(xs), rtol=1e-5)


def test_a_replaced_attribute_is_noticed_even_where_it_takes_the_place_of_the_old_one():
    """A freed number's address is soon used again, so an address alone does not identify what an object held."""
    init, xs = jnp.zeros(()), jnp.ones(2)

    class Scaled:
        scale = 0.0

        def step(self, carry, x):
            return carry + self.scale * x, None

    scaled = Scaled()
    for value in range(1, 8):
        scaled.scale = None
        scaled.scale = value + 0.5
        assert float(ps.scan(scaled.step, init, xs)[0]) == 2 * (value + 0.5)
