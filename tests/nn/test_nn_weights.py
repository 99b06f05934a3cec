"""Weights from and to equinox and Flax: equal outputs, there and back; and what is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import parascan as ps
from parascan.nn.cell_weights import with_weights
from parascan.nn.flax import from_flax, to_flax

INPUTS, HIDDEN, LENGTH = 3, 4, 9
EQUINOX = {"gru": (ps.nn.GRUCell, eqx.nn.GRUCell), "lstm": (ps.nn.LSTMCell, eqx.nn.LSTMCell)}
FLAX = {
    "elman": nnx.SimpleCell,
    "gru": nnx.GRUCell,
    "lstm": nnx.LSTMCell,
    "optimized lstm": nnx.OptimizedLSTMCell,
}


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def agree(mine, other):
    for one, two in zip(jax.tree.leaves(mine), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-13, atol=1e-13)


def outputs_of(cell, xs):
    return ps.nn.Recurrent(cell, ps.Sequential())(xs)[0]


def equinox_outputs(cell, xs):
    """Outputs of one of equinox's cells in a plain loop."""
    zeros = jnp.zeros(HIDDEN)
    pair = isinstance(cell, eqx.nn.LSTMCell)

    def step(state, x):
        state = cell(x, state)
        return state, state[0] if pair else state

    return jax.lax.scan(step, (zeros, zeros) if pair else zeros, xs)[1]


def flax_cell(name, getkey):
    """One of Flax's cells with all its weights and biases drawn."""
    cell = FLAX[name](INPUTS, HIDDEN, dtype="float64", param_dtype="float64", rngs=nnx.Rngs(0))
    state = jax.tree.map(lambda leaf: jax.random.normal(getkey(), leaf.shape) / 2, nnx.state(cell, nnx.Param))
    nnx.update(cell, state)
    return cell


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("name", EQUINOX)
def test_cells_of_equinox_come_and_go(name, use_bias, getkey):
    mine, theirs = EQUINOX[name]
    xs = jax.random.normal(getkey(), (LENGTH, INPUTS))
    other = theirs(INPUTS, HIDDEN, use_bias=use_bias, key=getkey())
    found = ps.nn.from_equinox(other)
    assert isinstance(found, mine)
    agree(outputs_of(found, xs), equinox_outputs(other, xs))
    cell = mine(INPUTS, HIDDEN, use_bias=use_bias, key=getkey())
    back = ps.nn.to_equinox(cell)
    assert isinstance(back, theirs)
    agree(equinox_outputs(back, xs), outputs_of(cell, xs))


@pytest.mark.parametrize("name", FLAX)
def test_cells_of_flax_come(name, getkey):
    xs = jax.random.normal(getkey(), (LENGTH, INPUTS))
    cell = flax_cell(name, getkey)
    agree(outputs_of(from_flax(cell), xs), nnx.RNN(cell)(xs[None])[0])


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("kind", [ps.nn.ElmanCell, ps.nn.GRUCell, ps.nn.LSTMCell])
def test_cells_go_to_flax(kind, use_bias, getkey):
    xs = jax.random.normal(getkey(), (LENGTH, INPUTS))
    cell = kind(INPUTS, HIDDEN, use_bias=use_bias, key=getkey())
    if kind is ps.nn.GRUCell and use_bias:
        with pytest.raises(ValueError, match="bias_n"):
            to_flax(cell)
        cell = with_weights(cell, bias_n=jnp.zeros(HIDDEN))
    agree(nnx.RNN(to_flax(cell))(xs[None])[0], outputs_of(cell, xs))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda key: ps.nn.from_equinox(jnp.tanh), TypeError, "expected an eqx.nn.GRUCell or eqx.nn.LSTMCell"),
        (lambda key: ps.nn.to_equinox(ps.nn.LEMCell(3, 4, key=key)), TypeError, "given LEMCell"),
        (lambda key: from_flax(nnx.Linear(3, 4, rngs=nnx.Rngs(0))), TypeError, "given Linear"),
        (lambda key: to_flax(ps.nn.LRCCell(3, 4, key=key)), TypeError, "given LRCCell"),
        (lambda key: from_flax(nnx.SimpleCell(3, 4, residual=True, rngs=nnx.Rngs(0))), ValueError, "residual"),
        (lambda key: from_flax(nnx.GRUCell(3, 4, gate_fn=jnp.tanh, rngs=nnx.Rngs(0))), ValueError, "gates"),
        (lambda key: from_flax(nnx.GRUCell(3, 4, dtype="bfloat16", rngs=nnx.Rngs(0))), ValueError, "computes in"),
        (
            lambda key: with_weights(ps.nn.GRUCell(3, 4, key=key), bias=jnp.zeros(4)),
            ValueError,
            r"bias: given \[4\], expected \[12\]",
        ),
        (
            lambda key: with_weights(ps.nn.GRUCell(3, 4, use_bias=False, key=key), bias=jnp.zeros(12)),
            ValueError,
            "expected None",
        ),
    ],
)
def test_what_has_no_counterpart_is_refused(call, error, text, getkey):
    with pytest.raises(error, match=text):
        call(getkey())


def stacked(key):
    return ps.nn.stack(ps.nn.LSTMCell, INPUTS, HIDDEN, layers=2, bidirectional=True, key=key)


def test_equinox_stores_and_restores_a_layer(tmp_path, getkey):
    layer, other = stacked(getkey()), stacked(getkey()).using(ps.deer())
    eqx.tree_serialise_leaves(tmp_path / "layer.eqx", layer)
    restored = eqx.tree_deserialise_leaves(tmp_path / "layer.eqx", other)
    for one, two in zip(jax.tree.leaves(restored), jax.tree.leaves(layer), strict=True):
        assert np.array_equal(one, two)
    # A checkpoint holds weights; how they are run is said where it is read.
    assert restored.layers[0].forward.solver == ps.deer()


def test_orbax_stores_and_restores_a_layer(tmp_path, getkey):
    pytest.importorskip("orbax.checkpoint", reason="orbax-checkpoint is not installed")
    import orbax.checkpoint

    layer, other = stacked(getkey()), stacked(getkey())
    weights, rest = eqx.partition(layer, eqx.is_array)
    with orbax.checkpoint.StandardCheckpointer() as checkpoint:
        checkpoint.save(tmp_path / "layer", jax.tree.leaves(weights))
        checkpoint.wait_until_finished()
        found = checkpoint.restore(tmp_path / "layer", jax.tree.leaves(eqx.filter(other, eqx.is_array)))
    restored = eqx.combine(jax.tree.unflatten(jax.tree.structure(weights), found), rest)
    for one, two in zip(jax.tree.leaves(restored), jax.tree.leaves(layer), strict=True):
        assert np.array_equal(one, two)
