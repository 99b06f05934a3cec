"""Blocks stacked in depth: whatever solver evaluates them, values and gradients are those of a plain loop."""

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import some

SIZE, LAYERS = 6, 24
SOLVERS = {
    "default": lambda: None,
    "sequential": ps.Sequential,
    "deer": ps.deer,
    "quasi_deer": ps.quasi_deer,
    "picard": ps.picard,
    "jacobi": ps.jacobi,
    "blocks": lambda: ps.MultipleShooting(ps.deer(), 5),
    "elk": ps.elk,
}


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def block(weights, x):
    return x + weights["out"] @ jnp.tanh(weights["in"] @ x + weights["bias"])


def stacked(layers=LAYERS, scale=0.3, seed=0):
    keys = jax.random.split(jax.random.key(seed), 3)
    draw = lambda key, *shape: scale * jax.random.normal(key, (layers, *shape))  # noqa: E731
    return {"in": draw(keys[0], 9, SIZE), "bias": draw(keys[1], 9), "out": draw(keys[2], SIZE, 9)}


X = np.linspace(-1, 1, SIZE)
TARGET = np.linspace(0.5, -0.3, SIZE)


def plain(weights, x):
    """The layers one after the other, in Python."""
    for layer in range(len(weights["bias"])):
        x = block({name: leaf[layer] for name, leaf in weights.items()}, x)
    return x


def loss(net):
    return jnp.sum((net(X) - TARGET) ** 2)


@pytest.fixture(scope="module")
def exact():
    """Value and gradients of the loss by the plain loop."""
    with jax.enable_x64(True):
        of_weights = lambda weights, x: jnp.sum((plain(weights, x) - TARGET) ** 2)  # noqa: E731
        return jax.jit(jax.value_and_grad(of_weights, argnums=(0, 1)))(stacked(), jnp.asarray(X))


@pytest.mark.parametrize("name", some(SOLVERS, "default"))
def test_values_and_gradients_are_those_of_a_plain_loop(name, exact):
    net = ps.nn.depth(block, stacked(), solver=SOLVERS[name]())
    value, (expected, of_input) = exact
    found, gradient = eqx.filter_value_and_grad(loss)(net)
    np.testing.assert_allclose(found, value, rtol=1e-9)
    for leaf in expected:
        np.testing.assert_allclose(gradient.weights[leaf], expected[leaf], rtol=1e-7, atol=1e-9 * abs(value))
    given = jax.grad(lambda x: jnp.sum((net(x) - TARGET) ** 2))(jnp.asarray(X))
    np.testing.assert_allclose(given, of_input, rtol=1e-7, atol=1e-9)


@pytest.mark.slow
def test_blocks_of_equinox_are_stacked_as_they_are():
    """Attention over a short sequence: leaves that are no arrays stay out of the recurrence."""

    class Attention(eqx.Module):
        norm: eqx.nn.LayerNorm
        attention: eqx.nn.MultiheadAttention
        mlp: eqx.nn.MLP

        def __init__(self, key):
            first, second = jax.random.split(key)
            self.norm = eqx.nn.LayerNorm(4)
            self.attention = eqx.nn.MultiheadAttention(2, 4, key=first)
            self.mlp = eqx.nn.MLP(4, 4, 8, 1, key=second)

        def __call__(self, x):
            normed = jax.vmap(self.norm)(x)
            x = x + self.attention(normed, normed, normed)
            return x + jax.vmap(self.mlp)(x)

    blocks = eqx.filter_vmap(Attention)(jax.random.split(jax.random.key(0), 5))
    net = ps.nn.depth(lambda block, x: block(x), blocks, solver=ps.deer())
    x = jax.random.normal(jax.random.key(1), (3, 4))
    expected = x
    for layer in range(5):
        arrays, rest = eqx.partition(blocks, eqx.is_array)
        expected = eqx.combine(jax.tree.map(lambda leaf, layer=layer: leaf[layer], arrays), rest)(expected)
    np.testing.assert_allclose(net(x), expected, rtol=1e-9)
    assert all(eqx.is_array(leaf) for leaf in jax.tree.leaves(eqx.filter(net, eqx.is_array)))


@pytest.mark.slow
def test_batches_come_from_vmap_and_states_are_all_outputs():
    net = ps.nn.depth(block, stacked(), solver=ps.quasi_deer())
    xs = jnp.stack([jnp.asarray(X), -jnp.asarray(X)])
    np.testing.assert_allclose(jax.jit(jax.vmap(net))(xs)[1], plain(stacked(), -X), rtol=1e-9)
    states = net.rollout(X).states
    assert states.shape == (LAYERS, SIZE)
    np.testing.assert_allclose(states[-1], net(X), rtol=1e-9)
    assert int(net.rollout(X, guess=net.rollout(X)).stats.iterations) == 0


@pytest.mark.slow
def test_the_forecast_counts_what_the_solver_takes():
    net = ps.nn.depth(block, stacked(), solver=ps.quasi_deer())
    found = net.forecast(X, key=jax.random.key(0))
    assert found.needed == int(net.rollout(X).stats.iterations)
    assert not found.inexact
    assert abs(found.diagnosis.iterations["newton"].value - net.using(ps.deer()).rollout(X).stats.iterations) <= 2
    assert "24 layers" in str(found)
    assert ps.nn.depth(block, stacked()).forecast(X, key=jax.random.key(0)).needed is None


@pytest.mark.slow  # three diagnoses compile for seconds
def test_the_exponent_grows_with_the_initialization():
    """Along depth a residual block with weights of zero neither grows nor shrinks a perturbation; larger ones do."""
    exponents = [
        float(ps.nn.depth(block, stacked(64, scale)).forecast(X, key=jax.random.key(0)).exponent.value)
        for scale in (0.0, 0.6)
    ]
    assert exponents[0] == pytest.approx(0, abs=1e-9)
    assert exponents[1] > 0.05


@pytest.mark.slow
def test_early_stopping_is_warned_of_and_measured(exact):
    net = ps.nn.depth(block, stacked(), solver=ps.quasi_deer(), updates=3)
    with pytest.warns(ps.nn.BiasWarning, match="stop after 3 updates"):
        found = net.forecast(X, key=jax.random.key(0))
    assert found.inexact
    assert "biases training" in str(found)
    with pytest.warns(ps.nn.BiasWarning, match="does not average out"):
        early = net.bias(loss)
    exact = exact[1][0]
    given = eqx.filter_grad(loss)(net).weights
    flat = lambda tree: np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])  # noqa: E731
    error = np.linalg.norm(flat(given) - flat(exact)) / np.linalg.norm(flat(exact))
    assert early.relative == pytest.approx(error, rel=1e-6)
    assert early.norm == pytest.approx(np.linalg.norm(flat(exact)), rel=1e-9)


def test_enough_updates_have_no_bias():
    net = ps.nn.depth(block, stacked(), solver=ps.quasi_deer(), updates=LAYERS)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ps.nn.BiasWarning)
        found = net.bias(loss)
    assert found.relative < 1e-8
    assert found.cosine == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"block": 3}, "block: given int"),
        ({"stacked_weights": {}}, "stacked_weights: given no array"),
        ({"stacked_weights": [jnp.zeros((3, 2)), jnp.zeros((4, 2))]}, "one leading axis L"),
        ({"stacked_weights": jnp.zeros(())}, "one leading axis L"),
        ({"stacked_weights": jnp.zeros((0, 2))}, "one leading axis L"),
        ({"updates": 2}, "updates: given 2 with the default solver"),
        ({"updates": 2, "solver": ps.Sequential()}, "updates: given 2 with Sequential"),
        ({"updates": 0, "solver": ps.deer()}, "updates"),
        ({"updates": 1.5, "solver": ps.deer()}, "updates"),
        ({"solver": ps.deer}, "solver"),
        ({"criterion": ps.Merit()}, "criterion"),
    ],
)
def test_wrong_arguments_are_refused(options, words):
    given = {"block": block, "stacked_weights": stacked(), **options}
    with pytest.raises((TypeError, ValueError), match=words):
        ps.nn.depth(given.pop("block"), given.pop("stacked_weights"), **given)


def test_a_limit_of_zero_is_refused():
    with pytest.raises(ValueError, match="limit: given 0"):
        ps.nn.depth(block, stacked()).bias(loss, limit=0)
