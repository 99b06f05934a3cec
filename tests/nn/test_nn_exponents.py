"""Exponents of layers against dense products of Jacobians, their derivatives, and the monitor's warnings."""

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import parascan as ps

INPUTS, HIDDEN, LENGTH = 2, 3, 40


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def elman(gain, key, size=HIDDEN):
    cell = ps.nn.ElmanCell(INPUTS, size, key=key)
    weights = gain * jax.random.normal(key, (size, size)) / np.sqrt(size)
    return ps.nn.Recurrent(eqx.tree_at(lambda c: c.weight_hh, cell, weights), ps.Sequential())


def jacobians(layer, xs):
    cell = jax.tree.map(np.asarray, layer.cell)
    state, found = np.zeros(HIDDEN), []
    for x in np.asarray(xs):
        state = np.tanh(cell.weight_ih @ x + cell.weight_hh @ state + cell.bias)
        found.append((1 - state**2)[:, None] * cell.weight_hh)
    return found


def test_all_exponents_are_those_of_a_qr_of_the_jacobians(getkey):
    layer, xs = elman(1.5, getkey()), jax.random.normal(getkey(), (LENGTH, INPUTS))
    key = getkey()
    frame = np.linalg.qr(np.asarray(jax.random.normal(key, (1, HIDDEN, HIDDEN))[0]))[0]
    logs = []
    for jacobian in jacobians(layer, xs):
        frame, triangle = np.linalg.qr(jacobian @ frame)
        logs.append(np.log(np.abs(np.diag(triangle))))
    found = ps.nn.finite_time_exponents(layer, xs, key=key, count=HIDDEN)
    np.testing.assert_allclose(found, np.mean(logs, axis=0), rtol=1e-9)
    # Volume is what no frame can hide: the sum is the mean log determinant, whatever the frames.
    late = ps.nn.finite_time_exponents(layer, xs, key=getkey(), warm_up=10, window=15, count=HIDDEN)
    volume = np.mean([np.linalg.slogdet(jacobian)[1] for jacobian in jacobians(layer, xs)[10:]])
    np.testing.assert_allclose(jnp.sum(late), volume, rtol=1e-9)


def test_a_reversed_layer_has_the_exponents_of_its_own_direction(getkey):
    layer, xs, key = elman(1.5, getkey()), jax.random.normal(getkey(), (LENGTH, INPUTS)), getkey()
    turned = ps.nn.Recurrent(layer.cell, ps.Sequential(), reverse=True)
    np.testing.assert_allclose(
        ps.nn.finite_time_exponents(turned, xs[::-1], key=key), ps.nn.finite_time_exponents(layer, xs, key=key)
    )


@pytest.mark.parametrize(
    "solver", [ps.Sequential(), pytest.param(ps.deer(), marks=pytest.mark.slow)], ids=["sequential", "deer"]
)
def test_the_derivative_is_that_of_central_differences(solver, getkey):
    layer, xs, key = elman(1.2, getkey()).using(solver), jax.random.normal(getkey(), (LENGTH, INPUTS)), getkey()
    direction = jax.random.normal(getkey(), (HIDDEN, HIDDEN))

    @jax.jit
    def value(width):
        moved = eqx.tree_at(lambda part: part.cell.weight_hh, layer, layer.cell.weight_hh + width * direction)
        return ps.nn.flossing_penalty(ps.nn.finite_time_exponents(moved, xs, key=key, count=2, window=20), target=-0.1)

    measured = (value(1e-5) - value(-1e-5)) / 2e-5
    np.testing.assert_allclose(jax.grad(value)(0.0), measured, rtol=1e-4)


@pytest.mark.slow
def test_descent_on_a_penalty_moves_the_exponent_below_its_ceiling(getkey):
    layer, xs, key = elman(3.0, getkey(), 8), 0.1 * jax.random.normal(getkey(), (LENGTH, INPUTS)), getkey()
    optimizer = optax.adam(0.02)
    memory = optimizer.init(eqx.filter(layer, eqx.is_inexact_array))

    @eqx.filter_jit
    def update(layer, memory):
        def loss(layer):
            return ps.nn.ceiling_penalty(ps.nn.finite_time_exponents(layer, xs, key=key), ceiling=ceiling)

        value, gradient = eqx.filter_value_and_grad(loss)(layer)
        changes, memory = optimizer.update(gradient, memory)
        return eqx.apply_updates(layer, changes), memory, value

    ceiling = float(ps.nn.finite_time_exponents(layer, xs, key=key)[0]) - 0.5
    for _ in range(80):
        layer, memory, value = update(layer, memory)
    assert float(ps.nn.finite_time_exponents(layer, xs, key=key)[0]) < ceiling + 0.05
    assert float(value) < 0.05**2
    assert float(ps.nn.ceiling_penalty(jnp.array([-0.3, -0.4]), ceiling=-0.2)) == 0


def watch(monitor, gains, key, xs):
    return [monitor(10 * index, elman(gain, key), xs, loss=1.0) for index, gain in enumerate(gains)]


def test_the_monitor_warns_before_the_limit_is_passed_and_says_what_to_do(getkey):
    key, xs, lines = getkey(), 0.1 * jax.random.normal(getkey(), (2, LENGTH, INPUTS)), []
    scale = elman(1.0, key).cell.weight_hh
    radius = float(jnp.max(jnp.abs(jnp.linalg.eigvals(scale))))
    monitor = ps.nn.Monitor(key=getkey(), ahead=30, readings=3, log=lines.append)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch(monitor, np.array([0.5, 0.5, 0.5, 0.6]) / radius, key, xs)
    with pytest.warns(ps.nn.DriftWarning, match=r"passes 0 in about \d+; iterations went from \d+ to \d+.*ceiling_pen"):
        watch(monitor, np.array([0.7, 0.8, 0.9]) / radius, key, xs)
    assert monitor.readings[-1].exponent < 0 < monitor.slope()
    assert monitor.readings[-1].horizon > monitor.readings[0].horizon
    assert "loss 1, exponent -" in lines[0]
    with pytest.warns(ps.nn.DriftWarning, match="is above the limit of -10"):
        watch(ps.nn.Monitor(key=getkey(), limit=-10.0, log=None), [0.5], key, xs)


@pytest.mark.slow
def test_the_monitor_warns_once_for_a_crossing(getkey):
    key, xs = getkey(), jnp.zeros((1, LENGTH, INPUTS))
    monitor = ps.nn.Monitor(key=getkey(), limit=-10.0, log=None)
    with pytest.warns(ps.nn.DriftWarning) as caught:
        watch(monitor, [0.5, 0.5, 0.5], key, xs)
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 4}, "count: given 4, expected 1 to 3"),
        ({"window": 7}, "window: given 7, expected a divisor of 40"),
        ({"warm_up": 40}, "warm_up: given 40, expected zero or more and less than T = 40"),
    ],
)
def test_refusals(options, message, getkey):
    with pytest.raises(ValueError, match=message):
        ps.nn.finite_time_exponents(elman(1.0, getkey()), jnp.zeros((LENGTH, INPUTS)), key=getkey(), **options)
    with pytest.raises(ValueError, match="readings: given 2, expected three or more"):
        ps.nn.Monitor(key=getkey(), readings=2)
    with pytest.raises(TypeError, match="layer: given GRUCell, expected a Recurrent, Stacked"):
        ps.nn.finite_time_exponents(ps.nn.GRUCell(2, 2, key=getkey()), jnp.zeros((4, 2)), key=getkey())


@pytest.mark.slow
def test_a_stack_has_the_exponents_of_all_its_recurrences(getkey):
    layers = [elman(gain, getkey()) for gain in (1.5, 0.7)]
    layers[1] = ps.nn.Recurrent(ps.nn.ElmanCell(HIDDEN, HIDDEN, key=getkey()), ps.Sequential())
    xs, key = jax.random.normal(getkey(), (LENGTH, INPUTS)), getkey()
    above, _ = layers[0](xs)
    parts = [
        ps.nn.finite_time_exponents(layer, drive, key=getkey(), count=HIDDEN, warm_up=10)
        for layer, drive in zip(layers, (xs, above), strict=True)
    ]
    stacked = ps.nn.Stacked(tuple(layers))
    found = ps.nn.finite_time_exponents(stacked, xs, key=key, count=2 * HIDDEN, warm_up=10)
    assert np.all(np.diff(found) <= 0)
    # The sum is the mean log determinant of each, whatever the frames.
    np.testing.assert_allclose(jnp.sum(found), sum(jnp.sum(part) for part in parts), rtol=1e-9)
    leading = ps.nn.finite_time_exponents(stacked, xs, key=key, count=2, warm_up=10)
    assert leading.shape == (2,)
    state = stacked(xs)[1]
    assert np.isfinite(ps.nn.finite_time_exponents(stacked, xs, state, key=key)[0])
    with pytest.raises(ValueError, match="count: given 7, expected 1 to 6"):
        ps.nn.finite_time_exponents(stacked, xs, key=key, count=7)


@pytest.mark.slow
def test_both_directions_and_stacks_of_them_have_exponents(getkey):
    made = ps.nn.stack(ps.nn.GRUCell, INPUTS, HIDDEN, layers=2, bidirectional=True, key=getkey())
    xs, key = jax.random.normal(getkey(), (LENGTH, INPUTS)), getkey()
    found = ps.nn.finite_time_exponents(made, xs, key=key)
    both = made.layers[0]
    parts = [ps.nn.finite_time_exponents(part, xs, key=key) for part in (both.forward, both.backward)]
    assert float(found[0]) >= max(float(part[0]) for part in parts) - 0.05
    gradient = jax.grad(lambda layer: ps.nn.finite_time_exponents(layer, xs, key=key)[0])(made)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


@pytest.mark.slow
def test_the_monitor_takes_a_stack_and_counts_its_own_solver(getkey):
    xs = 0.1 * jax.random.normal(getkey(), (2, LENGTH, INPUTS))
    of = lambda solver: ps.nn.stack(ps.nn.ElmanCell, INPUTS, HIDDEN, layers=2, solver=solver, key=key)  # noqa: E731
    key, iterations = getkey(), {}
    for name, solver in (("default", None), ("newton", ps.deer()), ("jacobi", ps.jacobi())):
        monitor = ps.nn.Monitor(key=key, limit=1.0, log=None)
        iterations[name] = monitor(0, of(solver), xs).iterations
    assert iterations["default"] == iterations["newton"] < iterations["jacobi"]
    chosen = ps.nn.Monitor(key=key, limit=1.0, log=None, solver=ps.jacobi())(0, of(ps.deer()), xs)
    assert chosen.iterations == iterations["jacobi"]
    assert chosen.length == LENGTH


def test_the_monitor_warns_of_iterations_against_the_length(getkey):
    xs = jnp.zeros((1, 120, INPUTS))
    monitor = ps.nn.Monitor(key=getkey(), limit=10.0, log=None)
    layer = elman(4.0, getkey(), 8).using(ps.picard())
    with pytest.warns(ps.nn.DriftWarning, match=r"iterations for 120 steps at training step 0 gain nothing"):
        reading = monitor(0, layer, xs + jax.random.normal(getkey(), xs.shape))
    assert reading.slow
    assert reading.iterations > 30
    assert monitor(1, layer, xs + jax.random.normal(getkey(), xs.shape)).slow  # Told once: no second warning.
