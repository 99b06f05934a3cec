"""Layers of ``ps.nn`` as modules of PyTorch, and weights from and to PyTorch's own."""

import copy
import io

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import parascan as ps
from parascan.torch import Layer, from_torch, to_torch

INPUTS, HIDDEN, LENGTH = 3, 4, 12
CELLS = {
    name: getattr(ps.nn, name)
    for name in ("ElmanCell", "GRUCell", "MinimalGatedCell", "LSTMCell", "LEMCell", "LRCCell", "ContractiveCell")
}
MODULES = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}


@pytest.fixture(autouse=True)
def wide(x64):
    """64-bit numbers in every test."""


def inputs(*batch, dtype=torch.float64):
    return torch.randn(*batch, LENGTH, INPUTS, generator=torch.Generator().manual_seed(1), dtype=dtype)


def made(kind, getkey, **options):
    if kind is ps.nn.ContractiveCell:
        return ps.nn.Recurrent(kind(INPUTS, HIDDEN, rate=0.9, key=getkey()), **options)
    return ps.nn.Recurrent(kind(INPUTS, HIDDEN, key=getkey()), **options)


def close(mine, other):
    for one, two in zip(jax.tree.leaves(mine), jax.tree.leaves(other), strict=True):
        one, two = (each.detach().numpy() if isinstance(each, torch.Tensor) else each for each in (one, two))
        np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", CELLS)
def test_every_layer_is_a_module_with_the_same_numbers_and_gradients(name, getkey):
    layer = made(CELLS[name], getkey)
    module, xs = Layer(layer), inputs()
    outputs, state = module(xs)
    expected = layer(jnp.asarray(xs.numpy()))
    close((outputs, state), expected)
    outputs.square().sum().backward()
    gradient = jax.grad(lambda weights, rest: jnp.sum(eqx.combine(weights, rest)(jnp.asarray(xs.numpy()))[0] ** 2))(
        *eqx.partition(layer, eqx.is_inexact_array)
    )
    close([each.grad for each in module.parameters()], jax.tree.leaves(gradient))


def test_stacks_in_both_directions_with_lengths_are_modules(getkey):
    layer = ps.nn.stack(ps.nn.LSTMCell, INPUTS, HIDDEN, layers=2, bidirectional=True, key=getkey())
    module, xs, lengths = Layer(layer), inputs(3), [12, 5, 0]
    outputs, state = module(xs, length=lengths)
    expected = jax.vmap(lambda x, n: layer(x, length=n))(jnp.asarray(xs.numpy()), jnp.array(lengths))
    close((outputs, state), expected)
    names = [name for name, _ in module.named_parameters()]
    assert len(names) == 12
    assert "layers_1_backward_cell_weight_hh" in names
    more, _ = module(xs, state)
    assert more.shape == outputs.shape


def test_masks_and_starts_are_handed_on(getkey):
    layer = made(ps.nn.GRUCell, getkey)
    xs, flags = inputs(), torch.arange(LENGTH) % 5 == 0
    for name in ("mask", "starts"):
        expected = layer(jnp.asarray(xs.numpy()), **{name: jnp.asarray(flags.numpy())})
        close(Layer(layer)(xs, **{name: flags}), expected)


def test_training_moves_the_layer(getkey):
    layer = made(ps.nn.GRUCell, getkey)
    module, xs = Layer(layer), inputs(2)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = (module(xs)[0] - 0.3).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    trained = module.layer()
    assert not np.array_equal(trained.cell.weight_hh, layer.cell.weight_hh)
    close(module(xs)[0], jax.vmap(trained)(jnp.asarray(xs.numpy()))[0])


def test_modules_are_copied_stored_and_cast_as_others(getkey):
    layer, xs = ps.nn.stack(ps.nn.ElmanCell, INPUTS, HIDDEN, key=getkey()), inputs()
    module = Layer(layer)
    twin, other = copy.deepcopy(module), Layer(ps.nn.stack(ps.nn.ElmanCell, INPUTS, HIDDEN, key=getkey()))
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    buffer.seek(0)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    for each in (twin, other):
        assert torch.equal(each(xs)[0], module(xs)[0])
    with torch.no_grad():
        twin.get_parameter("layers_0_cell_bias").add_(1)
    assert not torch.equal(twin(xs)[0], module(xs)[0])
    narrow = module.float()
    assert narrow(xs.float())[0].dtype == torch.float32
    assert narrow.layer().layers[0].cell.weight_hh.dtype == jnp.float32


def test_parameters_with_names_that_look_alike_stay_apart():
    class Cell(eqx.Module):
        a_b: jax.Array
        a: dict

        def __call__(self, x, state):
            return jnp.tanh(self.a_b * state + self.a["b"] * x)

    cell = Cell(jnp.array([0.5]), {"b": jnp.array([2.0])})
    module = Layer(ps.nn.Recurrent(ps.nn.Custom(cell, jnp.zeros(1))))
    assert sorted(each.item() for each in module.state_dict().values()) == [0.0, 0.5, 2.0]
    xs = torch.ones(4, 1, dtype=torch.float64)
    close(module(xs)[0], module.layer()(jnp.ones((4, 1)))[0])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("name", MODULES)
def test_weights_come_from_torch_and_go_back(name, both, bias):
    torch.manual_seed(0)
    module = MODULES[name](INPUTS, HIDDEN, num_layers=2, bidirectional=both, bias=bias, dtype=torch.float64)
    xs = inputs()
    layer = from_torch(module)
    outputs, state = layer(jnp.asarray(xs.numpy()))
    expected, final = module(xs)
    close(outputs, expected)
    # PyTorch stacks final states over layers and directions, of h and of c apart.
    found = [jnp.stack(each) for each in zip(*_pairs(state, both, name == "lstm"), strict=True)]
    close(found, list(final) if name == "lstm" else [final])
    back = to_torch(layer, batch_first=True)
    assert type(back) is MODULES[name]
    close(back(xs[None])[0][0], expected)


def _pairs(state, both, pair):
    """Final states of a layer in PyTorch's order, each a tuple."""
    every = [each for row in state for each in row] if both else list(state)
    return every if pair else [(each,) for each in every]


def test_an_lstm_of_many_steps_agrees_with_torch_in_single_precision():
    torch.manual_seed(0)
    module = torch.nn.LSTM(INPUTS, 8)
    xs = torch.randn(600, INPUTS)
    with torch.no_grad():
        torch.testing.assert_close(Layer(from_torch(module))(xs)[0], module(xs)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda key: Layer(torch.nn.GRU(3, 4)), TypeError, "layer: given GRU, expected a layer of ps.nn"),
        (lambda key: from_torch(torch.nn.Linear(3, 4)), TypeError, "given Linear"),
        (lambda key: from_torch(torch.nn.GRU(3, 4, num_layers=2, dropout=0.5)), ValueError, "dropout=0.5"),
        (lambda key: from_torch(torch.nn.LSTM(3, 4, proj_size=2)), ValueError, "proj_size=2"),
        (lambda key: to_torch(ps.nn.stack(ps.nn.LEMCell, 3, 4, key=key)), TypeError, "given cells LEMCell"),
        (
            lambda key: to_torch(ps.nn.Recurrent(ps.nn.GRUCell(3, 4, key=key), reverse=True)),
            ValueError,
            "runs backward only",
        ),
        (
            lambda key: to_torch(ps.nn.Recurrent(ps.nn.ElmanCell(3, 4, activation=jnp.sin, key=key))),
            ValueError,
            "expected jnp.tanh or jax.nn.relu",
        ),
        (
            lambda key: to_torch(
                ps.nn.Stacked(
                    [ps.nn.Recurrent(ps.nn.GRUCell(3, 4, key=key)), ps.nn.Recurrent(ps.nn.GRUCell(4, 5, key=key))]
                )
            ),
            ValueError,
            "expected alike ones",
        ),
        (
            lambda key: Layer(ps.nn.stack(ps.nn.GRUCell, 3, 4, key=key))(inputs(2), length=[13, 2]),
            ValueError,
            r"length: given \[13, 2\], expected 0 to 12",
        ),
        (
            lambda key: Layer(ps.nn.stack(ps.nn.GRUCell, 3, 4, key=key))(inputs()[:, :2]),
            ValueError,
            r"expected \[T, 3\]",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, error, text, getkey):
    with pytest.raises(error, match=text):
        call(getkey())


def test_relu_networks_come_from_torch_and_go_back():
    module = torch.nn.RNN(INPUTS, HIDDEN, nonlinearity="relu", dtype=torch.float64)
    layer = from_torch(module, solver=ps.Sequential())
    assert layer.layers[0].solver == ps.Sequential()
    close(layer(jnp.asarray(inputs().numpy()))[0], module(inputs())[0])
    assert to_torch(layer).nonlinearity == "relu"
