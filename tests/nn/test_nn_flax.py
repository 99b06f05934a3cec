"""The Flax adapter: ``RNN`` in the place of ``nnx.RNN``, and layers of this package among nnx modules."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import parascan as ps
from combinations import exhaustive
from parascan.nn.flax import RNN, Layer

INPUTS, HIDDEN, LENGTH = 3, 4, 7
CELLS = {"gru": nnx.GRUCell, "lstm": nnx.LSTMCell, "elman": nnx.SimpleCell}


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def cell(name):
    return CELLS[name](INPUTS, HIDDEN, dtype="float64", param_dtype="float64", rngs=nnx.Rngs(0))


def agree(mine, other, tolerance=1e-12):
    for leaf, expected in zip(jax.tree.leaves(mine), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(leaf, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *exhaustive([("gru", {"reverse": True})]),
        ("lstm", {"reverse": True, "keep_order": True}),
        ("elman", {"time_major": True}),
    ],
)
def test_rnn_is_that_of_flax(name, options, getkey):
    xs = jax.random.normal(getkey(), (3, LENGTH, INPUTS))
    lengths = jnp.array([LENGTH, 4, 1])
    valid = np.asarray(jnp.arange(LENGTH) < lengths[:, None])
    if options.get("time_major"):
        xs, valid = xs.swapaxes(0, 1), valid.T
    ours, theirs = RNN(cell(name), **options), nnx.RNN(cell(name), **options)
    for given in (None, lengths):
        carry, outputs = nnx.jit(lambda m, x, given=given: m(x, seq_lengths=given, return_carry=True))(ours, xs)
        expected_carry, expected = theirs(xs, seq_lengths=given, return_carry=True)
        agree(carry, expected_carry)
        rows = np.ones_like(valid) if given is None else valid
        agree(outputs[rows], expected[rows])


def test_gradients_and_bidirectional(getkey):
    xs = jax.random.normal(getkey(), (2, LENGTH, INPUTS))
    pair = [nnx.Bidirectional(kind(cell("gru")), kind(cell("gru"))) for kind in (RNN, nnx.RNN)]
    loss = lambda module: jnp.sum(module(xs) ** 2)  # noqa: E731
    results = [nnx.jit(nnx.value_and_grad(loss))(module) for module in pair]
    agree(results[0], results[1], 1e-10)


@pytest.mark.slow
def test_a_layer_trains_as_an_nnx_module(getkey):
    xs = jax.random.normal(getkey(), (LENGTH, INPUTS))
    made = ps.nn.stack(ps.nn.LRCCell, INPUTS, HIDDEN, solver=ps.deer(), key=getkey())
    module = Layer(made)
    agree(module(xs), made(xs))
    optimizer = nnx.Optimizer(module, optax.sgd(0.1), wrt=nnx.Param)
    loss = lambda module: jnp.sum(module(xs)[0] ** 2)  # noqa: E731
    step = nnx.jit(lambda module, optimizer: optimizer.update(module, nnx.grad(loss)(module)))
    before = float(loss(module))
    step(module, optimizer)
    assert float(loss(module)) < before
    agree(loss(module), jnp.sum(module.layer()(xs)[0] ** 2))


def test_refusals(getkey):
    with pytest.raises(TypeError, match="cell: given Linear, expected an nnx cell"):
        RNN(nnx.Linear(2, 2, rngs=nnx.Rngs(0)))
    with pytest.raises(TypeError, match="layer: given GRUCell, expected a layer of"):
        Layer(ps.nn.GRUCell(2, 2, key=getkey()))


class WithDropout(nnx.Module):
    """A cell with random streams of its own, which ``nnx.RNN`` counts up from step to step."""

    def __init__(self, rngs):
        self.cell, self.dropout = cell("gru"), nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, carry, x):
        return self.cell(carry, self.dropout(x))

    def initialize_carry(self, shape, rngs=None):
        return self.cell.initialize_carry(shape, rngs)

    @property
    def num_feature_axes(self):
        return 1


class WithNoise(WithDropout):
    """The same with noise on its state, drawn from a stream."""

    def __call__(self, carry, x):
        carry, y = self.cell(carry, x)
        return carry + 0.1 * jax.random.normal(self.dropout.rngs(), carry.shape), y


@pytest.mark.parametrize("kind", [WithDropout, WithNoise])
def test_a_cell_that_draws_in_its_steps_is_refused_with_the_cure(kind, getkey):
    xs = jax.random.normal(getkey(), (2, LENGTH, INPUTS))
    module = RNN(kind(nnx.Rngs(0)))
    message = r"cell: given a With\w+ that draws random numbers in every step.*cell.eval\(\).*nnx.RNN"
    with pytest.raises(ValueError, match=message):
        module(xs)
    with pytest.raises(ValueError, match=message):
        nnx.jit(lambda module, xs: module(xs))(module, xs)


def test_a_cell_whose_dropout_is_off_works_as_in_flax(getkey):
    xs = jax.random.normal(getkey(), (2, LENGTH, INPUTS))
    ours, theirs = RNN(WithDropout(nnx.Rngs(0))), nnx.RNN(WithDropout(nnx.Rngs(0)))
    ours.eval()
    theirs.eval()
    agree(ours(xs), theirs(xs))
