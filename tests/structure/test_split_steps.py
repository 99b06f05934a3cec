"""Steps split in two: outputs that follow from the new carry, and what a loop need not compute."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from parascan.programs.closure import close_over
from parascan.programs.hoisting import hoisted
from parascan.programs.inside import names_in
from parascan.programs.readout import Readout

SIZE = 8


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def weights():
    return jnp.asarray(np.random.default_rng(0).normal(size=(SIZE, SIZE)) * 0.2)


def network(weights):
    """Two leaves and a counter are carried; outputs of every kind."""

    def step(carry, x):
        h, slow, count = carry
        new = jnp.tanh(weights @ h + x)
        after = 0.5 * slow + new
        outputs = jax.nn.sigmoid(new), new * x, slow, jnp.float64(2.0), after, weights @ h, count, new
        return (new, after, count + 1), outputs

    return step


def example(length=3):
    rows = jnp.asarray(np.random.default_rng(1).normal(size=(length, SIZE)))
    return (jnp.zeros(SIZE), jnp.ones(SIZE), jnp.int64(4)), rows


def test_outputs_are_read_off_the_new_carry_without_another_step(weights):
    carry, xs = example()

    def step(carry, x):
        new = jnp.tanh(weights @ carry + x)
        return new, (jax.nn.sigmoid(new) * x, new)

    closed = close_over(step, carry[0], xs[0])
    after, expected = step(carry[0], xs[0])
    found = Readout(closed, 1)(after, carry[0], xs[0])
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    names = names_in(jax.make_jaxpr(Readout(closed, 1))(after, carry[0], xs[0]).jaxpr)
    assert "dot_general" not in names
    assert "tanh" not in names


def test_outputs_that_need_the_step_are_computed_from_it(weights):
    carry, xs = example()
    closed = close_over(network(weights), carry, xs[0])
    after, expected = network(weights)(carry, xs[0])
    jax.tree.map(np.testing.assert_array_equal, Readout(closed, 3)(after, carry, xs[0]), expected)
    spoiled = Readout(closed, 3)(jax.tree.map(lambda leaf: leaf + 1, after), carry, xs[0])
    changed = [bool(jnp.any(one != other)) for one, other in zip(spoiled, expected, strict=True)]
    assert changed == [True, True, False, False, True, False, False, True]


@pytest.mark.parametrize("solver", [ps.Chunked(chunks=32), ps.deer()], ids=["chunks", "newton"])
@pytest.mark.slow
def test_gradients_through_outputs_of_every_kind(weights, solver):
    init, xs = example(4099)

    def loss(scan, weights, xs, **options):
        carry, ys = scan(network(weights), init, xs, **options)
        return sum(jnp.mean(jnp.sin(y * (place + 1.0))) for place, y in enumerate(ys)) + jnp.sum(carry[1])

    expected = jax.grad(lambda *args: loss(jax.lax.scan, *args), (0, 1))(weights, xs)
    found = jax.grad(lambda *args: loss(ps.scan, *args, solver=solver), (0, 1))(weights, xs)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-12), found, expected)


def test_a_loop_is_left_with_what_needs_the_carry(weights):
    carry, xs = example()

    def step(arriving, x):
        @jax.jit
        def slope(x):
            return 1 - jnp.tanh(weights @ x) ** 2

        return weights.T @ (slope(x) * arriving), jnp.exp(x)

    before, rest = hoisted(step, carry[1], xs[0])
    # What is compiled as one function rounds as the operations one by one do not, with all optimizations.
    found, expected = rest(carry[1], before(xs[0])), step(carry[1], xs[0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-13), found, expected)
    left = [eqn.primitive.name for eqn in jax.make_jaxpr(rest)(carry[1], before(xs[0])).jaxpr.eqns]
    assert left.count("dot_general") == 1
    assert not {"tanh", "exp"} & set(left)


def test_a_step_that_needs_nothing_but_its_carry(weights):
    before, rest = hoisted(lambda carry, x: (weights @ carry, None), jnp.ones(SIZE), None)
    assert before(None) == []
    np.testing.assert_array_equal(rest(jnp.ones(SIZE), [])[0], weights @ jnp.ones(SIZE))
