"""Patterns of whole steps against Jacobians and perturbations; structures and colorings made from patterns."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from parascan.programs.structure import Structure, classify, dependency_pattern, diagonal_colors


def vector(size, dtype=jnp.float32):
    return jax.ShapeDtypeStruct((size,), dtype)


def observed(fn, size, *operands, points=4, seed=0):
    """Entries of the Jacobian that are nonzero, or outputs that a perturbation changes, at some random points."""
    rng = np.random.default_rng(seed)
    run, jacobian = jax.jit(fn), jax.jit(jax.jacfwd(fn))
    seen = 0
    for _ in range(points):
        state = rng.normal(size=size).astype(np.float32)
        base = np.asarray(run(state, *operands))
        moved = [
            np.asarray(run(state + np.float32(shift) * np.eye(size, dtype=np.float32)[j], *operands)) != base
            for shift in (-1.7, 0.3)
            for j in range(size)
        ]
        seen = seen | np.asarray(moved).reshape(2, size, -1).any(0).T | (np.asarray(jacobian(state, *operands)) != 0)
    return seen


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def diagonal_gru(state, x):
    a, b = jnp.split(state, 2)
    h = jnp.concatenate([a, b])
    update = jax.nn.sigmoid(0.5 * h + x)
    return (1 - update) * h + update * jnp.tanh(x * h)


def lstm(state, x):
    c, h = jnp.split(state, 2)
    forget, enter, out = jax.nn.sigmoid(h * x), jax.nn.sigmoid(h + x), jax.nn.sigmoid(x - h)
    c = forget * c + enter * jnp.tanh(h)
    return jnp.concatenate([c, out * jnp.tanh(c)])


def raveled_tree(state, x):
    tree = {"position": state[:3], "velocity": state[3:].reshape(3, 1)}
    velocity = tree["velocity"][:, 0] - 0.1 * jnp.sin(tree["position"]) + x
    return jnp.concatenate([jnp.ravel(leaf) for leaf in (tree["position"] + 0.1 * velocity, velocity)])


def blockwise(state, weights):
    return jax.vmap(lambda w, h: jnp.tanh(w @ h))(weights, state.reshape(-1, 3)).ravel()


def layer_norm(state):
    return (state - state.mean()) / jnp.sqrt(state.var() + 1e-5)


def gru_cell(state, cell, x):
    return cell(x, state)


def lstm_cell(state, cell, x):
    return jnp.concatenate(cell(x, tuple(jnp.split(state, 2))))


def mixed_precision(state, x):
    half = state.astype(jnp.bfloat16) * jnp.bfloat16(2)
    return jnp.tanh(half.astype(jnp.float32)) + (state > 0).astype(jnp.int32).astype(jnp.float32) * x


def branches(state, x):
    return jax.lax.cond(x > 0, jnp.sin, lambda s: s * x, state)


def integrated(state, x):
    def substep(i, s):
        return s + 0.1 * jnp.tanh(s) * x

    return jax.lax.fori_loop(0, 100, substep, state)


def pairs_scanned(state, x):
    def body(carry, pair):
        return carry, jnp.tanh(pair[::-1] * x)

    return jax.lax.scan(body, 0, state.reshape(-1, 2))[1].ravel()


def newton_root(state, x):
    start = (jnp.int32(0), state)
    return jax.lax.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, 0.5 * (c[1] + x / (1 + c[1] ** 2))), start)[1]


def clipped_langevin(state, x):
    drift = jax.grad(lambda s: jnp.sum(s**4 / 4 - s**2 / 2))(state)
    return jnp.clip(state - 0.1 * drift + x, -3.0, 3.0)


ONE = jnp.float32(0.7)
KEY = jax.random.key(3)
PAIRS = ((0, 3), (1, 4), (2, 5))

STEPS = {
    "tanh": (jnp.tanh, 4, (), Structure("diagonal")),
    "relu": (jax.nn.relu, 4, (), Structure("diagonal")),
    "softplus": (jax.nn.softplus, 4, (), Structure("diagonal")),
    "diagonal gru": (diagonal_gru, 6, (ONE,), Structure("diagonal")),
    "lstm": (lstm, 6, (ONE,), Structure("block", PAIRS)),
    "raveled tree": (raveled_tree, 6, (ONE,), Structure("block", PAIRS)),
    "vmapped blocks": (blockwise, 6, (normal(0, 2, 3, 3),), Structure("block", ((0, 1, 2), (3, 4, 5)))),
    "matvec": (lambda s, w: jnp.tanh(w @ s), 4, (normal(1, 4, 4),), Structure("dense")),
    "masked": (
        lambda s, w: (w * np.kron(np.eye(2), np.ones((2, 2)))) @ s,
        4,
        (normal(2, 4, 4),),
        Structure("block", ((0, 1), (2, 3))),
    ),
    "diagonal matrix": (lambda s, w: jnp.diag(w) @ s, 4, (normal(2, 4),), Structure("diagonal")),
    "layer norm": (layer_norm, 4, (), Structure("dense")),
    "sort": (jnp.sort, 4, (), Structure("dense")),
    "equinox gru": (gru_cell, 4, (eqx.nn.GRUCell(2, 4, key=KEY), normal(3, 2)), Structure("dense")),
    "equinox lstm": (lstm_cell, 4, (eqx.nn.LSTMCell(2, 2, key=KEY), normal(3, 2)), Structure("dense")),
    "mixed precision": (mixed_precision, 4, (ONE,), Structure("diagonal")),
    "cond": (branches, 4, (ONE,), Structure("diagonal")),
    "jit": (jax.jit(lambda s, x: jax.jit(jnp.sin)(s) * x), 4, (ONE,), Structure("diagonal")),
    "remat": (jax.checkpoint(lambda s, x: jnp.sin(s) * x), 4, (ONE,), Structure("diagonal")),
    "long loop": (integrated, 4, (ONE,), Structure("diagonal")),
    "scan over pairs": (pairs_scanned, 4, (ONE,), Structure("block", ((0, 1), (2, 3)))),
    "while": (newton_root, 4, (ONE,), Structure("diagonal")),
    "gradient": (clipped_langevin, 4, (ONE,), Structure("diagonal")),
    "table": (lambda s, t: jnp.interp(s, jnp.linspace(-2, 2, 5), t), 4, (normal(4, 5),), Structure("diagonal")),
    "permutation": (lambda s: s[np.array([1, 0, 3, 2])], 4, (), Structure("block", ((0, 1), (2, 3)))),
    "forgets": (lambda s, x: jnp.full(4, x), 4, (ONE,), Structure("zero")),
}


@pytest.mark.parametrize("name", STEPS)
def test_pattern_of_a_step_holds_its_jacobians_and_has_its_structure(name):
    fn, size, operands, structure = STEPS[name]
    pattern = dependency_pattern(fn, vector(size), *operands)
    arrays, static = eqx.partition(operands, eqx.is_array)
    seen = observed(lambda s, arrays: fn(s, *eqx.combine(arrays, static)), size, arrays)
    assert not (seen & ~pattern).any()
    assert classify(pattern) == structure


@pytest.mark.parametrize("name", STEPS)
def test_pattern_is_the_same_under_a_trace(name):
    fn, size, operands, _ = STEPS[name]
    arrays, static = eqx.partition(operands, eqx.is_array)
    found = []

    @jax.jit
    def run(state, arrays):
        found.append(dependency_pattern(fn, state, *eqx.combine(arrays, static)))
        return fn(state, *eqx.combine(arrays, static))

    run(jnp.ones(size), arrays)
    np.testing.assert_array_equal(found[0], dependency_pattern(fn, vector(size), *operands))


@pytest.mark.parametrize("size", [5, 6, 9])
def test_neighbors_on_a_ring(size):
    def step(s):
        return s + (jnp.roll(s, 1) - s) * jnp.roll(s, -1)

    near = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    pattern = dependency_pattern(step, vector(size))
    np.testing.assert_array_equal(pattern, (near <= 1) | (near == size - 1))
    assert diagonal_colors(pattern).max() + 1 <= 3


@pytest.mark.parametrize("wrap", [lambda w: w, lambda w: np.asarray(w), lambda w: w.T.T], ids=["jax", "numpy", "moved"])
def test_zeros_of_a_constant_matrix_are_seen(wrap):
    weights = jnp.tril(normal(5, 5, 5))
    pattern = dependency_pattern(lambda s: jnp.tanh(wrap(weights) @ s), vector(5))
    np.testing.assert_array_equal(pattern, np.tril(np.ones((5, 5), bool)))


def test_zeros_of_an_operand_are_not_believed():
    pattern = dependency_pattern(lambda s, w: w @ s, vector(3), jnp.eye(3))
    assert pattern.all()
    pattern = dependency_pattern(lambda s, w: w * s[::-1], vector(3), 0.0)
    np.testing.assert_array_equal(pattern, np.eye(3, dtype=bool)[::-1])


def test_a_closed_over_tracer_is_not_believed():
    found = []

    @jax.jit
    def run(w):
        found.append(dependency_pattern(lambda s: w @ s, vector(3)))
        return w

    run(jnp.eye(3))
    assert found[0].all()


def test_wide_derivative_rules_widen_the_pattern():
    @jax.custom_jvp
    def forward(s):
        return jnp.tanh(s)

    @jax.custom_vjp
    def backward(s):
        return jnp.tanh(s)

    forward.defjvp(lambda primals, tangents: (forward(*primals), tangents[0][::-1]))
    backward.defvjp(lambda s: (backward(s), None), lambda _, g: (jnp.cumsum(g),))
    both = np.eye(3, dtype=bool)
    np.testing.assert_array_equal(dependency_pattern(forward, vector(3)), both | both[::-1])
    # The rule gives g_0 + ... + g_j as derivative by state entry j.
    np.testing.assert_array_equal(dependency_pattern(backward, vector(3)), np.triu(np.ones((3, 3), bool)))


def test_float64():
    with jax.enable_x64(True):
        pattern = dependency_pattern(lambda s, x: jnp.roll(s, 1) * x, np.ones(4), np.float64(2))
    np.testing.assert_array_equal(pattern, np.roll(np.eye(4, dtype=bool), 1, 0))


def test_static_operands():
    pattern = dependency_pattern(lambda s, name, act: act(s) if name == "on" else s[::-1], vector(3), "on", jnp.sin)
    np.testing.assert_array_equal(pattern, np.eye(3, dtype=bool))


def test_large_arrays_beside_the_state_cost_nothing():
    weights = jax.ShapeDtypeStruct((3000, 3000), jnp.float32)
    pattern = dependency_pattern(lambda s, w: s * jnp.sum(jnp.tril(w)), vector(3), weights)
    np.testing.assert_array_equal(pattern, np.eye(3, dtype=bool))


def test_pattern_need_not_be_square():
    pattern = dependency_pattern(lambda s: jnp.stack([s[0] + s[1], s[2]]), vector(3))
    np.testing.assert_array_equal(pattern, [[True, True, False], [False, False, True]])


@pytest.mark.parametrize("size", [0, 1])
def test_small_states(size):
    pattern = dependency_pattern(jnp.tanh, vector(size))
    np.testing.assert_array_equal(pattern, np.eye(size, dtype=bool))
    assert classify(pattern).kind == ("diagonal" if size else "zero")


@pytest.mark.parametrize(("rows", "rounds"), [(100, 0), (60, 80)], ids=["one large mask", "many masks"])
def test_beyond_the_budget_the_answer_is_all(rows, rounds):
    def step(s):
        wide = jnp.broadcast_to(s, (rows, 256))
        for _ in range(rounds):
            wide = 0.5 * wide
        return jnp.sum(wide, 0)

    assert dependency_pattern(step, vector(256)).all()


@pytest.mark.parametrize(
    ("fn", "state", "message"),
    [
        (jnp.sin, jax.ShapeDtypeStruct((2, 2), jnp.float32), "state: got"),
        (lambda s: s[None], vector(2), "fn.*: got"),
        (lambda s: (s, s), vector(2), "fn.*: got"),
    ],
)
def test_only_vectors(fn, state, message):
    with pytest.raises(ValueError, match=message):
        dependency_pattern(fn, state)


def test_blocks_with_few_colors():
    assert diagonal_colors(dependency_pattern(lstm, vector(6), ONE)).max() + 1 == 2
