"""Every cell against its equations written out in numpy, and against equinox's cells with the same weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import exhaustive
from parascan.nn._cell import Contributions

INPUTS, HIDDEN, LENGTH = 3, 4, 24
SOLVERS = {"default": None, "deer": ps.deer()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def elman(cell, x, state):
    (h,) = state
    return (np.tanh(cell.weight_ih @ x + cell.weight_hh @ h + cell.bias),)


def gru(cell, x, state):
    (h,) = state
    W, U, b = np.split(cell.weight_ih, 3), np.split(cell.weight_hh, 3), np.split(cell.bias, 3)
    r, z = (sigmoid(W[k] @ x + U[k] @ h + b[k]) for k in range(2))
    n = np.tanh(W[2] @ x + b[2] + r * (U[2] @ h + cell.bias_n))
    return ((1 - z) * n + z * h,)


def minimal(cell, x, state):
    (h,) = state
    W, U, b = np.split(cell.weight_ih, 2), np.split(cell.weight_hh, 2), np.split(cell.bias, 2)
    f = sigmoid(W[0] @ x + U[0] @ h + b[0])
    return ((1 - f) * h + f * np.tanh(W[1] @ x + U[1] @ (f * h) + b[1]),)


def lstm(cell, x, state):
    h, c = state
    W, U, b = np.split(cell.weight_ih, 4), np.split(cell.weight_hh, 4), np.split(cell.bias, 4)
    i, f, g, o = (W[k] @ x + U[k] @ h + b[k] for k in range(4))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def lem(cell, x, state):
    y, z = state
    W, V, b = np.split(cell.weight_hh, 4), np.split(cell.weight_ih, 4), np.split(cell.bias, 4)
    first, second = (cell.dt * sigmoid(W[k] @ y + V[k] @ x + b[k]) for k in range(2))
    z = (1 - first) * z + first * np.tanh(W[2] @ y + V[2] @ x + b[2])
    return (1 - second) * y + second * np.tanh(W[3] @ z + V[3] @ x + b[3]), z


def lrc(cell, x, state):
    (s,) = state
    W, K = np.split(cell.weight_ih, 2)
    u, v = sigmoid(cell.input_slope * (x - cell.input_shift)), sigmoid(cell.slope * (s - cell.shift))
    f, q = cell.leak + W @ u + cell.weight_hh[0] * v, cell.leak + K @ u + cell.weight_hh[1] * v
    e = cell.elastance[0] * s + cell.elastance[1]
    return (s + cell.dt * sigmoid(e) * (-sigmoid(f) * s + cell.potential * np.tanh(q)),)


CELLS = {
    ps.nn.ElmanCell: elman,
    ps.nn.GRUCell: gru,
    ps.nn.MinimalGatedCell: minimal,
    ps.nn.LSTMCell: lstm,
    ps.nn.LEMCell: lem,
    ps.nn.LRCCell: lrc,
}


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def agree(mine, other, tolerance=1e-12):
    for leaf, expected in zip(jax.tree.leaves(mine), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(leaf, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("solver", ["default", pytest.param("deer", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", CELLS, ids=lambda kind: kind.__name__)
def test_cell_obeys_its_equations(kind, solver, getkey, monkeypatch):
    # Weights three times as large as at the start, so that no gate is near a half.
    cell = jax.tree.map(lambda leaf: 3 * leaf, kind(INPUTS, HIDDEN, key=getkey()))
    xs = jax.random.normal(getkey(), (LENGTH, INPUTS))
    state = jax.tree.leaves(jax.tree.map(np.asarray, cell.initial_state()))
    known, expected = jax.tree.map(np.asarray, cell), []
    for x in np.asarray(xs):
        state = CELLS[kind](known, x, state)
        expected.append(state[0])
    layer = ps.nn.Recurrent(cell, SOLVERS[solver])
    agree(layer(xs), (np.stack(expected), state), 1e-9)
    # As on an accelerator, where all products with inputs are made beforehand.
    monkeypatch.setattr("parascan.nn._cell.platform_of", lambda *trees: "gpu")
    assert isinstance(cell.prepare(xs), Contributions)
    agree(layer(xs), (np.stack(expected), state), 1e-9)


@pytest.mark.parametrize(
    ("kind", "theirs", "solver"),
    [(ps.nn.GRUCell, eqx.nn.GRUCell, "default"), *exhaustive([(ps.nn.LSTMCell, eqx.nn.LSTMCell, "deer")])],
    ids=["gru", "lstm"],
)
def test_values_and_gradients_are_those_of_equinox(kind, theirs, solver, getkey):
    cell = kind(INPUTS, HIDDEN, key=getkey())
    known = theirs(INPUTS, HIDDEN, key=getkey())
    names = [name for name in ("weight_ih", "weight_hh", "bias", "bias_n") if hasattr(cell, name)]
    pick = lambda tree: [getattr(tree, name) for name in names]  # noqa: E731
    known = eqx.tree_at(pick, known, pick(cell))
    xs = jax.random.normal(getkey(), (LENGTH, INPUTS))
    read = (lambda state: state[0]) if kind is ps.nn.LSTMCell else (lambda state: state)

    def ours(cell, xs):
        outputs, last = ps.nn.Recurrent(cell, SOLVERS[solver])(xs)
        return jnp.sum(outputs**2) + jnp.sum(jax.tree.leaves(last)[-1])

    def other(cell, xs):
        def step(state, x):
            state = cell(x, state)
            return state, read(state)

        zeros = jnp.zeros(HIDDEN)
        last, outputs = jax.lax.scan(step, (zeros, zeros) if kind is ps.nn.LSTMCell else zeros, xs)
        return jnp.sum(outputs**2) + jnp.sum(jax.tree.leaves(last)[-1])

    both = lambda f, cell: eqx.filter_jit(lambda c, x: (f(c, x), eqx.filter_grad(f)(c, x)))(cell, xs)  # noqa: E731
    (value, gradient), (expected, expected_gradient) = both(ours, cell), both(other, known)
    agree(value, expected)
    agree(pick(gradient), pick(expected_gradient), 1e-10)


def test_any_cell_of_equinox_through_the_hook(getkey):
    known = eqx.nn.LSTMCell(INPUTS, HIDDEN, key=getkey())
    xs, zeros = jax.random.normal(getkey(), (LENGTH, INPUTS)), jnp.zeros(HIDDEN)
    custom = ps.nn.Custom(known, (zeros, zeros), output=lambda state: state[0])
    outputs, last = ps.nn.Recurrent(custom, ps.deer())(xs)
    expected_last, expected = jax.lax.scan(lambda s, x: (known(x, s), known(x, s)[0]), (zeros, zeros), xs)
    agree((outputs, last), (expected, expected_last))


def test_a_cell_of_the_users_own(getkey):
    class Clipped(ps.nn.AbstractCell):
        weight: jax.Array

        def initial_state(self):
            return jnp.ones(2)

        def prepare(self, xs):
            return jnp.sin(xs)

        def step(self, drive, state):
            state = jnp.clip(self.weight * state + drive, -1, 1)
            return state, {"sum": jnp.sum(state)}

    xs = jax.random.normal(getkey(), (LENGTH, 2))
    cell = Clipped(jnp.array([0.5, -0.3]))
    outputs, last = ps.nn.Recurrent(cell, ps.deer())(xs)
    expected_last, expected = jax.lax.scan(lambda s, x: cell.step(jnp.sin(x), s), jnp.ones(2), xs)
    agree((outputs, last), (expected, expected_last))


def test_the_jacobian_of_lrc_is_found_to_be_diagonal(getkey):
    cell = ps.nn.LRCCell(INPUTS, HIDDEN, key=getkey())
    drive = cell.prepare(jnp.ones((1, INPUTS)))[0]
    jacobian = jax.jacobian(lambda s: cell.step(drive, s)[0])(jnp.linspace(-1.0, 1.0, HIDDEN))
    assert np.count_nonzero(np.asarray(jacobian)) == HIDDEN
    xs = jax.random.normal(getkey(), (LENGTH, INPUTS))
    counts = [
        int(ps.nn.Recurrent(cell, solver).rollout(xs)[2].stats.iterations) for solver in (ps.deer(), ps.quasi_deer())
    ]
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize("kind", CELLS, ids=lambda kind: kind.__name__)
def test_dtype_of_weights_is_kept(kind, getkey):
    cell = kind(INPUTS, HIDDEN, dtype="float32", key=getkey())
    outputs, last = ps.nn.Recurrent(cell)(jnp.ones((4, INPUTS), "float32"))
    assert {leaf.dtype for leaf in jax.tree.leaves((outputs, last))} == {jnp.dtype("float32")}
    with pytest.raises(TypeError, match="xs: given dtype float64, expected float32"):
        ps.nn.Recurrent(cell)(jnp.ones((4, INPUTS)))


def test_one_call_is_one_step(getkey):
    cell = ps.nn.GRUCell(INPUTS, HIDDEN, key=getkey())
    x, h = jax.random.normal(getkey(), (INPUTS,)), jax.random.normal(getkey(), (HIDDEN,))
    agree(cell(x, h), gru(jax.tree.map(np.asarray, cell), np.asarray(x), (np.asarray(h),))[0])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda key: ps.nn.GRUCell(0, 3, key=key), ValueError, "input_size: given 0, expected one or more"),
        (lambda key: ps.nn.LRCCell(3, 2.0, key=key), TypeError, "hidden_size: given 2.0, expected an integer"),
        (lambda key: ps.nn.LEMCell(3, 2, dt=0.0, key=key), ValueError, "dt: given 0.0, expected a positive"),
        (lambda key: ps.nn.ElmanCell(3, 2, dtype=int, key=key), TypeError, "dtype: given int64, expected a floating"),
        (lambda key: ps.nn.Custom(3, jnp.zeros(2)), TypeError, "call: given int, expected a callable"),
        (lambda key: ps.nn.Recurrent(eqx.nn.GRUCell(2, 2, key=key)), TypeError, "cell: given GRUCell, expected"),
    ],
)
def test_refusals(make, error, message, getkey):
    with pytest.raises(error, match=message):
        make(getkey())
