"""A program run over chunks gives what ``jax.vmap`` gives, chunk by chunk."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from parascan.programs import batching as program
from parascan.programs.batching import over_chunks
from parascan.programs.lazy import add_into
from parascan.programs.partial_evaluation import partially_evaluated

CHUNKS = 5
W = jnp.asarray(np.random.default_rng(0).normal(size=(4, 4)), jnp.float32)
CELL = eqx.nn.GRUCell(4, 4, key=jax.random.key(1))
COLUMN = jnp.asarray(np.random.default_rng(1).normal(size=(24, 1)), jnp.float32)


def inner_scan(s, x):
    return jax.lax.scan(lambda c, r: (jnp.tanh(c + r), c), s, jnp.outer(x, s))


def threefry(s, x):
    key = jax.random.fold_in(jax.random.key(0), jnp.int32(100 * x[0]))
    return s + jax.random.normal(key, s.shape)


FUNCTIONS = {
    "matrix first": lambda s, x: W @ jnp.tanh(s) + x,
    "matrix last": lambda s, x: jnp.tanh(s @ W) + x,
    "matrix state": lambda s, x: jnp.outer(s, x) @ W + W @ jnp.outer(x, s),
    "product of chunks": lambda s, x: jnp.outer(s, x) @ jnp.outer(x, x) @ s,
    "weight of higher rank": lambda s, x: jnp.tensordot(jnp.outer(s, x), jnp.stack([W, W + 1, W, W]), 2),
    "state times weights": lambda s, x: jnp.einsum("ij,kjl->ikl", jnp.outer(s, x), jnp.stack([W, W + 1])),
    "cell": lambda s, x: CELL(x, s),
    "bias": lambda s, x: s + jnp.arange(4.0) * 2,
    "pieces": lambda s, x: jnp.concatenate([s[1:], x[:1], jnp.ones(2)]),
    "shapes": lambda s, x: (s.reshape(2, 2).T.ravel()[:, None] + x[None, :])[..., None].squeeze(-1),
    "choice": lambda s, x: jnp.where(s > x, s, 0.0) + jnp.clip(x, -1, 1) + jnp.max(s),
    "branch": lambda s, x: jax.lax.cond(x[0] > 0, jnp.sin, jnp.cos, s),
    "table": lambda s, x: W[jnp.int32(x[0] > 0)] + s,
    "entries by index": lambda s, x: s.at[1].set(x[2]).at[jnp.array([0, 3])].add(x[:2])[jnp.array([3, 0, 1])],
    "rows by index": lambda s, x: jnp.outer(s, x)[jnp.array([2, 2])].at[:, 1].set(0.0),
    "stretch": lambda s, x: jax.lax.dynamic_update_slice(s, jax.lax.dynamic_slice(x, (1,), (2,)), (2,)),
    "stretch of weights": lambda s, x: jax.lax.dynamic_update_slice(W[0], s[:2], (1,)) + jnp.take(x, jnp.arange(4)),
    "entries by value": lambda s, x: s.at[jnp.int32(x[0] > 0)].set(1.0) + s[jnp.argmax(x)],
    "inner loop": inner_scan,
    "custom derivative": lambda s, x: jax.nn.relu(s) + jax.nn.softplus(x),
    "random": threefry,
    "constant output": lambda s, x: (s, jnp.ones(3)),
    "complex": lambda s, x: jnp.abs(jnp.fft.fft(s + 1j * x)),
    "checkpoint": lambda s, x: jax.checkpoint(lambda s: jnp.sin(s) * x)(s),
    "jit": lambda s, x: jax.jit(lambda s: jnp.sin(s) * x)(s),
    "gates of one input": lambda s, x: jnp.tanh(jnp.split(COLUMN @ x[:1] + 1, 6)[1] * s),
    "gates of one input from the left": lambda s, x: (s[:1] @ COLUMN.T + jnp.ones(24))[4:8] * x,
    "gates of a number": lambda s, x: jnp.stack(jnp.split(x[1] * COLUMN[:, 0] - 2, 3)),
    "gates of a number repeated": lambda s, x: (jnp.full(24, x[1]) + COLUMN[:, 0])[3:9],
    "sorted": lambda s, x: jnp.sort(s) + jnp.cumsum(x),
}


@pytest.fixture
def products(monkeypatch):
    """No product is written as a sum, as if all were large."""
    monkeypatch.setattr(program, "FEW_ENTRIES", 0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_chunks_are_those_of_vmap(name, getkey, products):
    function = FUNCTIONS[name]
    s, x = jax.random.normal(getkey(), (CHUNKS, 4)), jax.random.normal(getkey(), (CHUNKS, 4))
    chunks = over_chunks(function, (True, True), s[0], x[0])

    @jax.jit
    def both(s, x):
        given = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), chunks(s.T, x.T))
        return given, jax.vmap(function)(s, x)

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), *both(s, x))


@pytest.mark.parametrize("name", ["matrix first", "matrix last", "matrix state", "cell"])
def test_small_products_are_sums(name, getkey):
    """XLA joins a sum with what surrounds it, and a product is a loop of its own."""
    function = FUNCTIONS[name]
    s, x = jax.random.normal(getkey(), (CHUNKS, 4)), jax.random.normal(getkey(), (CHUNKS, 4))
    chunks = over_chunks(function, (True, True), s[0], x[0])
    both = jax.jit(lambda s, x: (jnp.moveaxis(chunks(s.T, x.T), -1, 0), jax.vmap(function)(s, x)))
    np.testing.assert_allclose(*both(s, x), rtol=1e-5, atol=1e-5)
    products = [eqn for eqn in jax.make_jaxpr(chunks)(s.T, x.T).eqns if eqn.primitive.name == "dot_general"]
    # Weights of 12 by 4 and states of two axes are products as before.
    assert bool(products) == (name in ("matrix state", "cell"))


def products_of(function, *args):
    """How many products a function of arguments in chunks computes."""
    chunks = over_chunks(function, (True,) * len(args), *args)
    spread = [jnp.broadcast_to(arg[..., None], (*arg.shape, CHUNKS)) for arg in args]
    return sum(eqn.primitive.name == "dot_general" for eqn in jax.make_jaxpr(chunks)(*spread).eqns)


@pytest.mark.parametrize("units", [4, 32])
def test_multiples_of_a_number_that_are_cut_later_are_products(units):
    """XLA took the entries of a loop with such a multiplication and cuts one by one: 3.5 times as slow for a GRU."""
    weights = jnp.arange(3.0 * units)
    number = jnp.asarray(0.5)

    def gates(x):
        reset, update, new = jnp.split(weights * x + 1, 3)
        return jnp.tanh(new + reset) * update

    many = 3 * units > 16
    assert products_of(gates, number) == many
    assert products_of(lambda x: gates(x[0]), number[None]) == many
    # A product of one column stays one; where nothing is cut, XLA joins the multiplication with the rest and is fast.
    assert products_of(lambda x: jnp.tanh(weights * x + 1), number) == 0
    # A number that is no weight's multiple, and one for each entry, are left alone.
    assert products_of(lambda x: jnp.split(x * x * jnp.ones(3 * units), 3), number) == many
    assert products_of(lambda x: jnp.split(x * weights, 3), weights) == 0


def test_multiples_of_a_number_keep_what_is_not_finite():
    weights = jnp.zeros(24).at[3].set(jnp.inf)
    chunks = over_chunks(lambda x: weights[:, None] @ x[None] * 1.0, (True,), jnp.ones(()))
    cut = over_chunks(lambda x: jnp.split(weights * x, 2)[0], (True,), jnp.ones(()))
    numbers = jnp.asarray([1.0, jnp.inf, jnp.nan, 0.0, -1.0])
    np.testing.assert_array_equal(cut(numbers), (weights[:12, None] * numbers))
    assert chunks(numbers).shape == (24, CHUNKS)


@pytest.mark.parametrize("shape", [(1, 4), (4, 1)])
def test_a_single_row_or_column_stays_a_product(shape):
    """Written as a sum, the gain of an observer made Newton on blocks 1.8 times as slow."""
    chunks = over_chunks(lambda s: jnp.ones(shape) @ s, (True,), jnp.ones(shape[1]))
    names = [eqn.primitive.name for eqn in jax.make_jaxpr(chunks)(jnp.ones((shape[1], CHUNKS))).eqns]
    assert "dot_general" in names


def test_what_is_alike_for_all_chunks_is_computed_once(products):
    def function(weights, s):
        return jnp.tanh(weights @ weights) @ s

    chunks = over_chunks(function, (False, True), W, W[0])
    shapes = [
        eqn.outvars[0].aval.shape
        for eqn in jax.make_jaxpr(chunks)(W, jnp.ones((4, CHUNKS))).eqns
        if eqn.primitive.name == "dot_general"
    ]
    assert shapes == [(4, 4), (4, CHUNKS)]


def test_products_keep_the_chunks_last(products):
    """A transposition in the loop would cost as much as the product."""

    def function(weights, s, x):
        return weights @ s + s @ weights + jnp.concatenate([x[:2], s[:2]])

    chunks = over_chunks(function, (False, True, True), W, W[0], W[0])
    state = jnp.ones((4, CHUNKS))
    names = {
        eqn.primitive.name for eqn in jax.make_jaxpr(partially_evaluated(chunks, W, state, state))(state, state).eqns
    }
    assert "dot_general" in names
    assert "transpose" not in names


def gated(weights, s, x):
    """Gates whose cotangents are joined in reverse mode."""
    first, second, third = jnp.split(weights[0] @ s + x, 3)
    return jnp.tanh(first) * s + jax.nn.sigmoid(second) * third + weights[1] @ (weights[1] @ s) + weights[2] * s


def pull(weights, s, x, y):
    """Cotangents of all arguments of ``gated``."""
    return jax.vjp(gated, weights, s, x)[1](y)


def gated_arguments(getkey):
    weights = (jax.random.normal(getkey(), (12, 4)), W, jnp.arange(4.0))
    return weights, *(jax.random.normal(getkey(), (CHUNKS, *shape)) for shape in ((4,), (12,), (4,)))


def test_reverse_mode_over_chunks_with_the_weights_summed(getkey):
    weights, *rows = gated_arguments(getkey)
    chunks = over_chunks(
        pull, (False, True, True, True), weights, *(row[0] for row in rows), summed=(True, False, False)
    )
    sums, *others = jax.jit(chunks)(weights, *(jnp.moveaxis(row, 0, -1) for row in rows))
    expected_sums, *expected = jax.jit(jax.vmap(pull, in_axes=(None, 0, 0, 0)))(weights, *rows)
    for given, each in zip(sums, expected_sums, strict=True):
        total = add_into(jnp.ones(each.shape[1:]), given)
        np.testing.assert_allclose(total, 1 + jnp.sum(each, axis=0), rtol=1e-5, atol=1e-5)
    for given, each in zip(others, expected, strict=True):
        np.testing.assert_allclose(jnp.moveaxis(given, -1, 0), each, rtol=1e-5, atol=1e-5)


def test_reverse_mode_joins_nothing_in_a_loop(getkey):
    """XLA joins computed parts entry by entry: three times the cost of a product for each part."""
    weights, *rows = gated_arguments(getkey)
    of_state = over_chunks(lambda *args: pull(*args)[1], (False, True, True, True), weights, *(row[0] for row in rows))
    rows = [jnp.moveaxis(row, 0, -1) for row in rows]
    program = partially_evaluated(of_state, weights, *rows)
    names = [eqn.primitive.name for eqn in jax.make_jaxpr(program)(*rows).eqns]
    assert "concatenate" not in names
    assert "pad" not in names
    np.testing.assert_allclose(jax.jit(program)(*rows), jax.jit(of_state)(weights, *rows), rtol=1e-5, atol=1e-6)
