"""Contraction holds for every value of the parameters and for every input, not only for those at the start."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import parascan as ps
from parascan.nn._spectral import bjorck, cayley, norm_bound

INPUTS, HIDDEN, LENGTH, RATE = 3, 6, 20, 0.8
WEIGHTS = (
    ps.nn.ScaledWeight,
    ps.nn.OrthogonalDiagonalWeight,
    ps.nn.CayleyWeight,
    ps.nn.BjorckWeight,
    ps.nn.DiagonalWeight,
)
METRICS = (None, ps.nn.DiagonalMetric, ps.nn.FullMetric)
# The other pairs add no line that these do not run.
OTHERS = {(ps.nn.OrthogonalDiagonalWeight, None), (ps.nn.CayleyWeight, ps.nn.FullMetric)}
PAIRS = [
    pytest.param(
        *pair, marks=[] if pair[0] is ps.nn.ScaledWeight or pair in OTHERS or pair[1] is None else pytest.mark.slow
    )
    for pair in itertools.product(WEIGHTS, METRICS)
]


def label(value):
    return getattr(value, "__name__", "plain")


@eqx.filter_jit
def worst_growth(cell, xs):
    """Growth over all windows of one step and over the whole sequence, in the cell's own metric, per step."""
    ready = cell.ready()
    factor = jnp.eye(HIDDEN) if cell.metric is None else cell.metric.factor()
    inverse = jnp.eye(HIDDEN) if cell.metric is None else cell.metric.inverse()

    def step(value, drive):
        state, product = value
        jacobian = factor @ jax.jacobian(lambda s: ready.step(drive, s)[0])(state) @ inverse
        return (ready.step(drive, state)[0], jacobian @ product), jnp.linalg.norm(jacobian, 2)

    start = (cell.initial_state(), jnp.eye(HIDDEN))
    (_, product), single = jax.lax.scan(step, start, cell.prepare(xs))
    return jnp.max(single), jnp.linalg.norm(product, 2) ** (1 / len(xs))


@pytest.mark.parametrize(("weight", "metric"), PAIRS, ids=label)
def test_no_parameters_and_no_inputs_break_the_rate(weight, metric, getkey):
    """In float32, where rounding alone would break a rate that is met exactly."""
    cell = ps.nn.ContractiveCell(INPUTS, HIDDEN, rate=RATE, weight=weight, metric=metric, key=getkey())
    slack = 1e-5
    # Large inputs saturate the activation and hide the matrix; small ones show it.
    for scale, size in ((0.0, 0.01), (1.0, 0.0), (3.0, 1.0), (100.0, 0.01), (1e4, 0.0)):
        leaves, treedef = jax.tree.flatten(cell)
        drawn = [scale * jax.random.normal(getkey(), leaf.shape, leaf.dtype) for leaf in leaves]
        changed = eqx.tree_at(lambda c: c.bias, jax.tree.unflatten(treedef, drawn), size * cell.bias)
        changed = eqx.tree_at(lambda c: c.weight_ih, changed, cell.weight_ih)
        single, whole = worst_growth(changed, size * jax.random.normal(getkey(), (LENGTH, INPUTS)))
        assert float(single) <= RATE * (1 + slack)
        assert float(whole) <= RATE * (1 + slack)


@pytest.mark.parametrize("metric", METRICS, ids=label)
def test_the_rate_is_reached(metric, getkey):
    """The bound is not kept by giving up: near the origin an orthogonal cell contracts by the rate, and no faster."""
    cell = ps.nn.ContractiveCell(INPUTS, HIDDEN, rate=RATE, weight=ps.nn.CayleyWeight, metric=metric, key=getkey())
    cell = eqx.tree_at(lambda c: c.bias, cell, 0 * cell.bias)
    single, whole = worst_growth(cell, jnp.zeros((LENGTH, INPUTS)))
    np.testing.assert_allclose([single, whole], RATE, rtol=1e-3)


@pytest.mark.parametrize("metric", METRICS, ids=label)
@pytest.mark.slow
def test_the_exponent_stays_below_the_rate_after_every_step_of_training(metric, getkey):
    """Trained to tell two initial states apart at the end, which a free cell answers with an exponent above zero."""
    with jax.enable_x64(True):
        rate = ps.nn.LearnedRate(0.7, 0.9)
        cell = ps.nn.ContractiveCell(INPUTS, HIDDEN, rate=rate, metric=metric, key=getkey())
        xs = 0.1 * jax.random.normal(getkey(), (30, LENGTH, INPUTS))
        optimizer = optax.adam(0.1)
        condition = 1.0 if metric is None else 100.0

        @eqx.filter_jit
        def update(cell, memory, x):
            def loss(cell):
                layer, start = ps.nn.Recurrent(cell, ps.Sequential()), 0.1 * jnp.ones(HIDDEN)
                return -jnp.log(jnp.sum((layer(x, start)[1] - layer(x, -start)[1]) ** 2))

            changes, memory = optimizer.update(eqx.filter_grad(loss)(cell), memory)
            cell = eqx.apply_updates(cell, changes)
            ready = cell.ready()
            exponent = ps.lyapunov_exponents(
                lambda h, drive: ready.step(drive, h)[0], cell.initial_state(), cell.prepare(x), key=jax.random.key(0)
            )
            return cell, memory, jnp.max(exponent.directions), cell.rate_value()

        memory = optimizer.init(eqx.filter(cell, eqx.is_inexact_array))
        rates = []
        for x in xs:
            cell, memory, exponent, value = update(cell, memory, x)
            assert float(exponent) <= float(jnp.log(value)) + np.log(condition) / LENGTH
            rates.append(float(value))
            assert all(growth <= value * (1 + 1e-12) for growth in worst_growth(cell, x))
        assert rates[0] < rates[-1] < 0.9


def test_the_norm_bound_holds_and_is_close(dtype, getkey):
    both = jax.jit(jax.value_and_grad(norm_bound))
    normal = jax.random.normal(getkey(), (40, 40))
    for matrix in (normal, jnp.outer(normal[0], normal[0]), jnp.eye(40), 1e-30 * normal):
        norm = np.linalg.norm(np.asarray(matrix, np.float64), 2)
        assert norm <= float(both(matrix)[0]) <= 1.02 * norm
    assert float(both(jnp.zeros((40, 40)))[0]) <= 1
    assert np.all(np.isfinite(both(jnp.zeros((40, 40)))[1]))
    # The derivative of the norm itself is the outer product of the two leading singular vectors.
    gapped = normal.at[0].multiply(4)
    left, _, right = np.linalg.svd(np.asarray(gapped, np.float64))
    np.testing.assert_allclose(both(gapped)[1], np.outer(left[:, 0], right[0]), atol=0.02)


def test_orthogonal_matrices_are_orthogonal(getkey):
    with jax.enable_x64(True):
        raw = jax.random.normal(getkey(), (5, 5))
        np.testing.assert_allclose(cayley(raw) @ cayley(raw).T, jnp.eye(5), atol=1e-13)
        singular = jnp.linalg.svd(bjorck(raw))[1]
        assert 0.99 < float(singular[-1]) <= float(singular[0]) <= 1 + 1e-12


def test_a_diagonal_cell_is_the_scalar_model_of_the_paper(getkey):
    with jax.enable_x64(True):
        cell = ps.nn.ContractiveCell(1, 1, rate=0.999, weight=ps.nn.DiagonalWeight, key=getkey())
        h, x = jnp.array([0.3]), jnp.array([0.2])
        expected = jnp.tanh(0.999 * jnp.tanh(cell.weight.raw) * h + cell.weight_ih @ x + cell.bias)
        np.testing.assert_allclose(cell(x, h), expected, rtol=1e-14)


def test_each_layer_has_its_own_rate(getkey):
    cells = [ps.nn.ContractiveCell(3, 3, rate=rate, key=getkey()) for rate in (0.5, 0.9)]
    layer = ps.nn.Stacked(tuple(ps.nn.Recurrent(cell) for cell in cells))
    assert [float(part.cell.rate_value()) for part in layer.layers] == pytest.approx([0.5, 0.9])
    # A map over the numbers of a model leaves a fixed rate alone.
    assert float(jax.tree.map(lambda leaf: 2 * leaf, cells[1]).rate_value()) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rate": 1.0}, ValueError, "rate: given 1.0, expected a number between 0 and 1"),
        ({"rate": "fast"}, TypeError, "rate: given str, expected a number between 0 and 1 or a LearnedRate"),
        ({"activation": jax.nn.silu}, ValueError, "activation: given one with a slope of 1.1, expected slopes"),
    ],
)
def test_refusals(options, error, message, getkey):
    with pytest.raises(error, match=message):
        ps.nn.ContractiveCell(2, 2, key=getkey(), **options)
    with pytest.raises(ValueError, match=r"start: given 0[.]95, expected a number between 0 and at_most"):
        ps.nn.LearnedRate(0.95, 0.9)
    with pytest.raises(ValueError, match="condition: given 1, expected a number above one"):
        ps.nn.FullMetric(2, condition=1, key=getkey())
