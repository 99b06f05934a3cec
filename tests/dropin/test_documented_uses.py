"""The uses of ``jax.lax.scan`` that JAX's own documents show, below and above the lengths that are cut into chunks."""

import collections
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_scan import assert_same

import parascan as ps
from combinations import crossed, exhaustive, fewer, some

SIZE = 32
WEIGHTS = 0.3 * np.random.default_rng(0).normal(size=(SIZE, SIZE)).astype("float32") / SIZE**0.5
Pair = collections.namedtuple("Pair", ["first", "second"])


@functools.partial(jax.tree_util.register_dataclass, data_fields=["state", "count"], meta_fields=["name"])
@dataclasses.dataclass
class Record:
    state: jax.Array
    count: jax.Array
    name: str = "record"


def cell(state, x):
    return jnp.tanh(WEIGHTS @ state + x)


def inputs(length):
    return jnp.asarray(np.random.default_rng(1).normal(size=(length, SIZE)), "float32")


ZERO = jnp.zeros(SIZE)


def simple(scan, xs):
    return scan(lambda c, x: (cell(c, x),) * 2, ZERO, xs)


def no_outputs(scan, xs):
    return scan(lambda c, x: (cell(c, x), None), ZERO, xs)


def empty_carry(scan, xs):
    return scan(lambda _, x: (None, jnp.sum(x)), None, xs)


def no_inputs(scan, xs):
    return scan(lambda c, _: (cell(c, 0.1), c[0]), ZERO, None, length=len(xs))


def scalars(scan, xs):
    return scan(lambda c, x: (0.5 * c + x, c > 0), 1, xs[:, 0])


def cumulative_sum(scan, xs):
    return scan(lambda c, x: (c + x,) * 2, 0.0, xs[:, 0])


def factorial_of_indices(scan, xs):
    return scan(lambda c, i: ((c[0] + 1, c[1] * 0.5 + i),) * 2, (0, 1.0), jnp.arange(len(xs)))


def named_tuple(scan, xs):
    return scan(lambda c, x: (Pair(cell(c.first, x), c.second + 1), Pair(c.second, c.first)), Pair(ZERO, 0), xs)


def registered_dataclass(scan, xs):
    return scan(lambda c, x: (Record(cell(c.state, x), c.count + 1), c), Record(ZERO, jnp.int32(0)), xs)


def dictionaries(scan, xs):
    return scan(lambda c, x: ({"s": cell(c["s"], x["a"])}, [x, {}]), {"s": ZERO}, {"a": xs, "b": (), "c": None})


def keys_in_the_carry(scan, xs):
    def step(carry, x):
        state, key = carry
        key, draw = jax.random.split(key)
        return (cell(state, x + 0.1 * jax.random.normal(draw, (SIZE,))), key), (state, draw)

    return scan(step, (ZERO, jax.random.key(0)), xs)


def keys_among_the_inputs(scan, xs):
    step = lambda c, x: (cell(c, x[0]) * jax.random.bernoulli(x[1], 0.9, (SIZE,)), x[1])  # noqa: E731
    return scan(step, ZERO, (xs, jax.random.split(jax.random.key(1), len(xs))))


def raw_keys_among_the_inputs(scan, xs):
    step = lambda c, x: (cell(c, x[0]) * jax.random.bernoulli(x[1], 0.9, (SIZE,)), c)  # noqa: E731
    return scan(step, ZERO, (xs, jax.random.split(jax.random.PRNGKey(1), len(xs))))


def checkpointed(scan, xs):
    return scan(jax.checkpoint(lambda c, x: (cell(c, x),) * 2), ZERO, xs)


def compiled(scan, xs):
    return jax.jit(lambda xs: scan(jax.jit(lambda c, x: (cell(c, x), c)), ZERO, xs))(xs)


def donated(scan, xs):
    return jax.jit(lambda c, xs: scan(lambda c, x: (cell(c, x), c), c, xs), donate_argnums=0)(ZERO + 0, xs)


def batched(scan, xs):
    return jax.vmap(lambda s: scan(lambda c, x: (cell(c, x), c), s, xs))(jnp.stack([ZERO, ZERO + 1]))


def nested(scan, xs):
    inner = lambda c, x: (scan(lambda s, u: (cell(s, u), None), c, jnp.stack([x, -x]))[0], c)  # noqa: E731
    return scan(inner, ZERO, xs)


def over_layers(scan, xs):
    layers = jnp.stack([jnp.asarray(WEIGHTS)] * len(xs[:4]))
    return scan(lambda c, w: (jnp.tanh(c @ w), c[0]), xs, layers)


def condition_and_loop(scan, xs):
    def step(carry, x):
        state = jax.lax.cond(x[0] > 0, cell, lambda s, x: s + x, 0.5 * carry, x)
        return jax.lax.fori_loop(0, 2, lambda _, s: 0.9 * s, state), carry

    return scan(step, ZERO, xs)


def counts_what_floats_do(scan, xs):
    step = lambda c, x: ((cell(c[0], x), c[1] + (c[0][0] > 0)), c[1])  # noqa: E731
    return scan(step, (ZERO, jnp.int32(0)), xs)


def last_valid(scan, xs):
    xs = xs.at[::3].set(jnp.nan)
    return scan(lambda c, x: (jnp.where(jnp.isnan(x), c, x),) * 2, jnp.full(SIZE, jnp.nan), xs)


def log_space(scan, xs):
    move = jnp.log(jax.nn.softmax(jnp.asarray(WEIGHTS), axis=0))
    step = lambda c, x: (jax.nn.logsumexp(move + c, axis=1) + jax.nn.log_softmax(x), c)  # noqa: E731
    return scan(lambda c, x: (step(c - jax.nn.logsumexp(c), x)[0], c), (ZERO - jnp.inf).at[0].set(0), xs)


def gradient(scan, xs):
    value = lambda w, c, xs: jnp.mean(scan(lambda c, x: (jnp.tanh(w @ c + x),) * 2, c, xs)[1] ** 2)  # noqa: E731
    return jax.value_and_grad(value, (0, 1, 2))(jnp.asarray(WEIGHTS), ZERO, xs)


def tangents(scan, xs):
    run = lambda xs: scan(lambda c, x: (cell(c, x),) * 2, ZERO, xs)  # noqa: E731
    value, push = jax.linearize(run, xs)
    return jax.jvp(run, (xs,), (xs,)), value, push(xs)


def integer_tangents(scan, xs):
    run = lambda n, xs: scan(lambda c, x: ((cell(c[0], x), c[1] + 1), c[0]), (ZERO, n), xs)[1]  # noqa: E731
    zero = np.zeros((), jax.dtypes.float0)
    return jax.jvp(run, (jnp.int32(3), xs), (zero, xs))


def curvature(scan, xs):
    value = lambda s: scan(lambda c, x: (jnp.tanh(s * c + x), None), jnp.float32(0), xs[:, 0])[0]  # noqa: E731
    return jax.hessian(value)(jnp.float32(0.5))


def keywords(scan, xs):
    return scan(f=lambda c, x: (cell(c, x), c), init=ZERO, xs=xs, length=np.int64(len(xs)), reverse=True, unroll=1)


def unrolled(scan, xs):
    return scan(lambda c, x: (cell(c, x), c), ZERO, xs, unroll=np.int64(2)), scan(
        cell_and_old, ZERO, xs[:3], unroll=True
    )


def cell_and_old(carry, x):
    return cell(carry, x), carry


USES = (
    *(simple, no_outputs, empty_carry, no_inputs, scalars, cumulative_sum, factorial_of_indices, named_tuple),
    *(registered_dataclass, dictionaries, keys_in_the_carry, keys_among_the_inputs, raw_keys_among_the_inputs),
    *(checkpointed, compiled, donated, batched, nested, over_layers, condition_and_loop, counts_what_floats_do),
    *(last_valid, log_space, gradient, tangents, integer_tangents, curvature, keywords, unrolled),
)


def close(given, expected):
    """The same tree with the same types; numbers that are not floating exactly, floating ones up to rounding."""
    numbers = lambda tree: jax.tree.map(np.asarray, tree)  # noqa: E731
    weak = lambda tree: [getattr(leaf, "weak_type", None) for leaf in jax.tree.leaves(tree)]  # noqa: E731
    finite = lambda leaf: not jnp.issubdtype(leaf.dtype, jnp.floating) or bool(jnp.isfinite(leaf).all())  # noqa: E731
    assert weak(given) == weak(expected)
    if all(map(finite, jax.tree.leaves(expected))):
        assert_same(given, expected, exactly=False)
    else:
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), *map(numbers, (given, expected))
        )


CUT = (
    *(simple, batched, nested),
    *(condition_and_loop, counts_what_floats_do, last_valid, gradient, tangents),
)
"""Uses that run by default where the sequence is long enough for chunks; the others do where it is not.

Those of keys are tested apart.
"""


@pytest.mark.parametrize(
    ("use", "length"),
    fewer([(use, 20000 if use in CUT else 12) for use in USES], "gradient-20000")
    + exhaustive((use, 12 if use in CUT else 20000) for use in USES),
    ids=lambda value: getattr(value, "__name__", value),
)
def test_by_default(use, length):
    xs = inputs(length)
    close(use(ps.scan, xs), use(jax.lax.scan, xs))


@pytest.mark.parametrize("use", some([keys_in_the_carry, keys_among_the_inputs], keys_in_the_carry))
def test_keys_are_no_reason_to_run_step_by_step(use):
    """The answers of chunks differ in rounding, those of the plain loop in nothing."""
    xs = inputs(20000)
    ours, theirs = use(ps.scan, xs), use(jax.lax.scan, xs)
    close(ours, theirs)
    first = [jax.tree.leaves(carry)[0] for carry, *_ in (ours, theirs)]
    assert (first[0] != first[1]).any()


ITERATED = (
    *(simple, no_outputs, no_inputs, scalars, cumulative_sum, factorial_of_indices, named_tuple, registered_dataclass),
    *(dictionaries, keys_in_the_carry, keys_among_the_inputs, raw_keys_among_the_inputs, checkpointed, compiled),
    *(donated, batched, gradient, tangents, integer_tangents, keywords),
)


SOLVERS = ps.deer(), ps.MultipleShooting(ps.deer(), 5)
NEW_TO_ITERATIONS: tuple = (named_tuple, keys_in_the_carry, compiled)
"""Beside the simplest use, those that no other test of iterations has; the others' rules are tested apart."""


@pytest.mark.parametrize(
    ("use", "solver"),
    crossed(ITERATED, SOLVERS[:1], [simple, *NEW_TO_ITERATIONS], []) + crossed(ITERATED, SOLVERS[1:], [simple], []),
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_by_iterations(use, solver):
    def scan(*args, unroll=1, **options):
        return ps.scan(*args, solver=solver, **options)

    xs = inputs(12)
    close(use(scan, xs), use(jax.lax.scan, xs))
