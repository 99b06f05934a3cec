"""The one-pass reverse mode of long rollouts: all its cotangents against reverse mode through ``jax.lax.scan``."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import exhaustive
from parascan.adjoint import cotangents as _pullback
from parascan.chunked import dispatch
from parascan.problem.flat_recurrence import Recurrence
from parascan.programs.closure import Closed, Function, close_over
from parascan.programs.inside import programs_of

SIZE, INPUTS = 12, 4
SOLVER = ps.Chunked(chunks=8)


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def passes(monkeypatch):
    """How often the pass was asked for cotangents."""
    calls = []
    original = _pullback.Pullback.__call__

    def counted(self, cotangent):
        calls.append(cotangent.shape)
        return original(self, cotangent)

    monkeypatch.setattr(_pullback.Pullback, "__call__", counted)
    return calls


def gru(key):
    """A gated cell, whose step is heavy enough that any length is cut."""
    cell = eqx.nn.GRUCell(INPUTS, SIZE, key=key, dtype=jnp.float64)
    return cell, lambda cell, s, x: cell(x, s)


def rotation(key):
    """A linear map that forgets nothing."""
    turn = jnp.linalg.qr(jax.random.normal(key, (SIZE, SIZE)))[0]
    drive = jax.random.normal(key, (SIZE, INPUTS)) / 64
    return (turn, drive), lambda weights, s, x: weights[0] @ s + weights[1] @ x


def loss(scan, step, **options):
    """A loss of outputs and final carry that reaches weights, initial state and inputs."""

    def value(weights, init, xs):
        carry, states = scan(lambda s, x: (step(weights, s, x),) * 2, init, xs, **options)
        return jnp.mean(jnp.sin(states) ** 2) + jnp.sum(carry**3)

    return value


def arguments(make, length, getkey):
    weights, step = make(getkey())
    return step, (weights, jax.random.normal(getkey(), (SIZE,)), jax.random.normal(getkey(), (length, INPUTS)))


def agree(given, expected, tolerance):
    for mine, theirs in zip(jax.tree.leaves(given), jax.tree.leaves(expected), strict=True):
        scale = max(float(jnp.max(jnp.abs(theirs))), 1e-30)
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize(
    ("make", "length", "reverse"),
    [
        pytest.param(gru, 16384, False, marks=pytest.mark.exhaustive),
        (gru, 16387, True),
        *exhaustive([(rotation, 16384, False)]),
    ],
    ids=["blocks", "rest", "forgets nothing"],
)
def test_cotangents_of_weights_start_and_inputs(make, length, reverse, passes, getkey):
    step, args = arguments(make, length, getkey)
    gradients = [
        eqx.filter_jit(lambda args, value=value: eqx.filter_grad(lambda args: value(*args))(args))(args)
        for value in (loss(ps.scan, step, solver=SOLVER, reverse=reverse), loss(jax.lax.scan, step, reverse=reverse))
    ]
    assert passes == [(length, SIZE)]
    agree(*gradients, 1e-11)


@pytest.mark.exhaustive
def test_second_order_and_forward_mode(passes, getkey):
    step, (weights, init, xs) = arguments(gru, 16384, getkey)
    arrays, static = eqx.partition(weights, eqx.is_array)
    direction = jax.tree.map(jnp.cos, (arrays, init, xs))

    def along(scan, **options):
        value = loss(scan, step, **options)
        gradient = jax.grad(lambda args: value(eqx.combine(args[0], static), *args[1:]))
        return jax.jit(lambda args: jax.jvp(gradient, (args,), (direction,)))((arrays, init, xs))

    agree(along(ps.scan, solver=SOLVER), along(jax.lax.scan), 1e-10)
    assert passes


@pytest.mark.slow
def test_a_batch_that_comes_about_later(getkey):
    """A gradient compiled for one sequence and mapped afterwards gives every sequence its own sums."""
    step, (weights, init, xs) = arguments(gru, 16384, getkey)
    batch = jnp.stack([xs, xs[::-1]])
    arrays, static = eqx.partition(weights, eqx.is_array)

    def gradients(scan, **options):
        value = loss(scan, step, **options)
        one = jax.jit(lambda xs: jax.grad(lambda arrays: value(eqx.combine(arrays, static), init, xs))(arrays))
        return jax.vmap(one)(batch)

    agree(gradients(ps.scan, solver=SOLVER), gradients(jax.lax.scan), 1e-11)


@pytest.mark.parametrize(("own_weights", "run"), [(True, False), *exhaustive([(True, True), (False, True)])])
def test_a_batch_of_one_is_run_as_a_single_sequence(own_weights, run, monkeypatch, getkey):
    """The way back of a batch of one was taken one step after the other: half as fast as that of a single sequence."""
    step, (weights, init, xs) = arguments(gru, 16384, getkey)
    arrays, static = eqx.partition(weights, eqx.is_array)
    given = jax.tree.map(lambda leaf: leaf[None], arrays) if own_weights else arrays

    def gradient(scan, **options):
        value = loss(scan, step, **options)
        one = lambda arrays, xs: value(eqx.combine(arrays, static), init, xs)  # noqa: E731
        every = jax.vmap(one, in_axes=(0 if own_weights else None, 0))
        return jax.jit(jax.grad(lambda arrays, xs: jnp.sum(every(arrays, xs))))

    monkeypatch.setattr(dispatch, "_one_by_one", None)
    found = gradient(ps.scan, solver=SOLVER).lower(given, xs[None])
    if run:
        agree(found.compile()(given, xs[None]), gradient(jax.lax.scan)(given, xs[None]), 1e-11)


@pytest.mark.parametrize("units", exhaustive([(23,), (17,)]))
def test_a_length_that_no_number_of_chunks_divides_is_cut(units, passes, getkey):
    """A prime number of steps of a network that is not heavy: its way back was taken one step after the other."""
    weights = jax.random.normal(getkey(), (units, units), jnp.float32) / units
    xs = jax.random.normal(getkey(), (40009, units), jnp.float32)

    def value(scan, weights):
        return jnp.mean(scan(lambda s, x: (jnp.tanh(weights @ s + x),) * 2, xs[0], xs)[1] ** 2)

    found, expected = (jax.grad(partial(value, scan))(weights) for scan in (ps.scan, jax.lax.scan))
    assert passes == [(40009, units)]
    agree(found, expected, 1e-4)


@pytest.mark.parametrize(
    "options", [{"solver": ps.deer()}, {"solver": ps.Sequential(), "adjoint": ps.Implicit()}], ids=["newton", "loop"]
)
@pytest.mark.slow
def test_answers_of_other_solvers_are_pulled_back_in_chunks_too(options, passes, getkey):
    """Their way back stores no linearizations, and could not be traced where chunks were tried."""
    weights = jax.random.normal(getkey(), (23, 23), jnp.float32) / 23
    xs = jax.random.normal(getkey(), (20011, 23), jnp.float32)

    def value(weights, scan, **options):
        return jnp.mean(scan(lambda s, x: (jnp.tanh(weights @ s + x),) * 2, xs[0], xs, **options)[1] ** 2)

    found, expected = jax.grad(value)(weights, ps.scan, **options), jax.grad(value)(weights, jax.lax.scan)
    assert passes == [(20011, 23)]
    agree(found, expected, 1e-4)


def test_a_value_that_is_put_out_twice_is_stored_once(getkey):
    xs, weights = jax.random.normal(getkey(), (4096, SIZE)), jax.random.normal(getkey(), (SIZE, SIZE)) * 0.2

    def run(scan, outputs, **options):
        def step(s, x):
            s = jnp.tanh(weights @ s + x)
            return s, outputs(s, x)

        return scan(step, jnp.zeros(SIZE), xs, **options)[1]

    def thrice(s, x):
        return {"first": s, "again": (s, x), "rounded": s.astype(jnp.bfloat16)}

    found, expected = run(ps.scan, thrice, solver=SOLVER), run(jax.lax.scan, thrice)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-13), found, expected)

    def stored(outputs):
        return updates(jax.make_jaxpr(lambda: run(ps.scan, outputs, solver=SOLVER))().jaxpr)

    assert stored(lambda s, x: (s, s)) == stored(lambda s, x: s) < stored(lambda s, x: (s, 2 * s))


def updates(program):
    """How often a program writes a part of an array."""
    own = sum(eqn.primitive.name == "dynamic_update_slice" for eqn in program.eqns)
    return own + sum(updates(inner) for eqn in program.eqns for inner in programs_of(eqn))


def test_a_heavy_cell_is_cut_on_its_way_back_too():
    """With the copy counted in full, an LSTM of 47 units went back one step after the other."""
    cell, xs = eqx.nn.LSTMCell(28, 47, key=jax.random.key(0), dtype=jnp.float32), jnp.zeros((91_976, 28), jnp.float32)
    found = []

    def look():
        step = close_over(lambda s, x: cell(x, (s[:47], s[47:])), jnp.zeros(94, jnp.float32), xs[0])
        problem = Recurrence(Flattened(step), jnp.zeros(94, jnp.float32), xs, len(xs))
        tangent = eqx.filter(problem, eqx.is_inexact_array)
        found.append(_pullback.Pullback(problem, jnp.zeros((len(xs), 94), jnp.float32), tangent).side_by_side)

    jax.eval_shape(look)
    assert found == [True]


class Flattened(Function):
    """A cell of two leaves on a flat state."""

    cell: Closed

    def __call__(self, state, x):
        return jnp.concatenate(self.cell(state, x))
