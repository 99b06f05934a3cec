"""How a layer is run is no part of its weights: leaves, checkpoints, derivatives and decay are those of the cell."""

import copy
import functools
import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import parascan as ps
from combinations import some

INPUTS, HIDDEN, LENGTH = 3, 4, 12
XS = np.random.default_rng(0).standard_normal((LENGTH, INPUTS)).astype("float32")
SOLVERS = {
    "default": lambda: None,
    "sequential": ps.Sequential,
    "deer": ps.deer,
    "damped": lambda: ps.Newton(ps.Diagonal(), damping=0.1, clip=1.0),
    "radius": lambda: ps.Hybrid(ps.elk(), ps.deer(), radius=jnp.asarray(0.5)),
    "random": lambda: ps.Newton(ps.StochasticDiagonal(jax.random.key(1))),
    "descent": lambda: ps.GradientDescent(optax.sgd(0.5)),
}
CELLS = [
    ps.nn.GRUCell,
    ps.nn.LEMCell,
    functools.partial(ps.nn.ContractiveCell, rate=ps.nn.LearnedRate(0.5), metric=ps.nn.DiagonalMetric),
    lambda _, size, *, key: ps.nn.Custom(lambda x, s: jnp.tanh(s + jnp.sum(x)), jnp.zeros(size), output=jnp.sin),
]


def made(solver, cell=ps.nn.GRUCell, seed=0, **options):
    return ps.nn.stack(cell, INPUTS, HIDDEN, solver=SOLVERS[solver](), key=jax.random.key(seed), **options)


def loss(layer):
    return jnp.sum(layer(XS)[0] ** 2)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("cell", CELLS)
def test_leaves_are_arrays_of_the_cell_whatever_the_solver(cell, solver):
    layer = made(solver, cell, bidirectional=True)
    leaves = jax.tree.leaves(layer)
    assert all(eqx.is_inexact_array(leaf) for leaf in leaves)
    assert len(leaves) == len(jax.tree.leaves(made("default", cell, bidirectional=True)))


@pytest.mark.parametrize("solver", some(["deer", "radius", "random"], "radius"))
def test_plain_transformations_work_and_compile_once(solver):
    layer, traces = made(solver), []

    @jax.jit
    def gradient(layer):
        traces.append(1)
        return jax.grad(loss)(layer)

    again = made(solver, seed=1)
    found = gradient(layer)
    gradient(again)
    assert len(traces) == 1
    expected = eqx.filter_grad(loss)(made("sequential"))
    for mine, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-4, atol=1e-5)


def test_weight_decay_and_scaling_leave_the_solver_as_it_is():
    layer = made("damped")
    optimizer = optax.adamw(0.1, weight_decay=0.5)
    changes, _ = optimizer.update(jax.grad(loss)(layer), optimizer.init(layer), layer)
    trained = optax.apply_updates(layer, changes)
    for part in (trained, jax.tree.map(lambda leaf: 2 * leaf, layer)):
        assert part.layers[0].solver.damping == 0.1
        assert part.layers[0].solver.clip == 1.0


def test_a_checkpoint_of_one_solver_is_read_with_another(tmp_path):
    saved = made("damped")
    eqx.tree_serialise_leaves(tmp_path / "model.eqx", saved)
    for solver in SOLVERS:
        read = eqx.tree_deserialise_leaves(tmp_path / "model.eqx", made(solver, seed=5))
        assert eqx.tree_equal(read.layers[0].cell, saved.layers[0].cell)


def test_other_settings_are_another_program_and_equal_ones_are_not():
    key = jax.random.key(0)
    cell = ps.nn.GRUCell(INPUTS, HIDDEN, key=key)
    of = lambda radius: ps.nn.Recurrent(cell, ps.Hybrid(ps.elk(), ps.deer(), radius=jnp.asarray(radius)))  # noqa: E731
    one, same, other = (jax.tree.structure(of(radius)) for radius in (0.5, 0.5, 0.25))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != jax.tree.structure(ps.nn.Recurrent(cell))


def test_layers_are_copied_and_pickled_with_their_settings():
    layer = made("damped")
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert jax.tree.structure(copied) == jax.tree.structure(layer)
        np.testing.assert_array_equal(copied(XS)[0], layer(XS)[0])


def test_another_solver_takes_along_what_it_can_use():
    key = jax.random.key(0)
    cell = ps.nn.GRUCell(INPUTS, HIDDEN, key=key)
    layer = ps.nn.Recurrent(cell, ps.deer(), ps.Merit(1e-8), 7)
    np.testing.assert_allclose(layer.using(ps.Sequential())(XS)[0], layer(XS)[0], atol=1e-4)
    kept = layer.using(ps.quasi_deer()).settings.values
    assert (kept["criterion"], kept["max_iterations"]) == (ps.Merit(1e-8), 7)
    spread = ps.nn.Recurrent(cell, mesh=jax.make_mesh((2,), ("time",)))
    assert spread.using(ps.deer()).settings.values["mesh"].size == 2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"criterion": ps.Merit()}, ValueError, "criterion: given together with the default solver"),
        (
            {"solver": ps.Sequential(), "max_iterations": 3},
            ValueError,
            "max_iterations: given together",
        ),
        ({"solver": ps.deer(), "mesh": jax.make_mesh((1, 1), ("a", "b"))}, ValueError, "mesh: given axes"),
        ({"solver": ps.deer}, TypeError, "solver: given deer, expected an instance"),
        ({"adjoint": ps.Unrolled()}, ValueError, "adjoint: given Unrolled"),
    ],
)
def test_settings_without_a_use_are_refused_where_they_are_given(options, error, message):
    with pytest.raises(error, match=message):
        ps.nn.Recurrent(ps.nn.GRUCell(INPUTS, HIDDEN, key=jax.random.key(0)), **options)


def test_a_guess_without_a_use_is_refused():
    layer = ps.nn.Recurrent(ps.nn.GRUCell(INPUTS, HIDDEN, key=jax.random.key(0)))
    with pytest.raises(ValueError, match="guess: given together with the default solver"):
        layer(XS, guess=jnp.zeros((LENGTH, HIDDEN)))
