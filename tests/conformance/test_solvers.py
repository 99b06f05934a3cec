"""What every solver promises: the sequential trajectory, in the user's structure and dtype, with honest statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import fewer, one_of_each, product, some
from parascan.solvers import AbstractLinearization, AbstractSolver

from .members import CAUSAL, DIRECT, PROBLEMS, SOLVERS

LENGTH = 25
SINGLE = jnp.dtype("float32")


def times(solver):
    """How many times as long a problem is for a solver: four chunks have at least 32 steps each."""
    return 6 if solver == "forgetting" else 1


def posed(problem, solver, key, dtype):
    """Step, initial state and inputs, as often as the solver needs them."""
    step, init, xs = PROBLEMS[problem](key, dtype)
    return step, init, None if xs is None else jnp.concatenate([xs] * times(solver))


def lax_states(step, init, xs, length=None):
    return jax.lax.scan(lambda carry, x: (step(carry, x),) * 2, init, xs, length=length)[1]


def tolerance(dtype):
    """Twice the default tolerance of StateError, which the solver met by its own estimate."""
    eps = float(jnp.finfo(dtype).eps)
    return 2 * (512 if dtype == jnp.float64 else 16) * eps


def assert_close(tree, reference, dtype):
    assert jax.tree.structure(tree) == jax.tree.structure(reference)
    for leaf, expected in zip(jax.tree.leaves(tree), jax.tree.leaves(reference), strict=True):
        assert leaf.dtype == expected.dtype
        scale = 1 + np.abs(np.asarray(expected, np.float64)).max(initial=0.0)
        np.testing.assert_allclose(leaf, expected, rtol=0, atol=tolerance(dtype) * scale)


@pytest.mark.parametrize(
    ("solver", "problem", "dtype"),
    fewer(
        one_of_each(product(SOLVERS, ["rnn", "tree"], ["float32", "float64"])),
        "blocks_elk-tree-float64",
        "stochastic_blocks-rnn-float32",
        "gate-rnn-float32",
        "surrogate-tree-float64",
        "anderson-rnn-float32",
        "hybrid-tree-float64",
        "blocks_jacobi-rnn-float32",
        "quasi_elk-rnn-float32",
        "clipped-tree-float64",
        "block_diagonal-tree-float64",
        "scale_elk-rnn-float32",
        "deer_dense-tree-float64",
        "sequential-rnn-float32",
        "forgetting-tree-float64",
        "elk-tree-float64",
        "blocks-tree-float64",
        "gradient_descent-rnn-float32",
        "deer_matrix_free-rnn-float32",
        "picard-rnn-float32",
        "line_search-rnn-float32",
    ),
    indirect=["dtype"],
)
def test_states_are_the_sequential_ones_and_starting_there_takes_no_iteration(solver, problem, dtype, getkey):
    step, init, xs = posed(problem, solver, getkey(), dtype)
    reference = lax_states(step, init, xs)
    elsewhere = ps.guesses.Given(jax.tree.map(jnp.zeros_like, reference))
    options = {} if solver in DIRECT else {"guess": elsewhere}
    solution = ps.rollout(step, init, xs, solver=SOLVERS[solver](), **options)
    assert_close(solution.states, reference, dtype)
    assert_close(solution.carry, jax.tree.map(lambda leaf: leaf[-1], reference), dtype)
    assert solution.ys is None
    assert bool(solution.result == ps.Result.successful)
    assert int(solution.stats.repairs) == 0
    assert (int(solution.stats.iterations) > 0) == (solver not in DIRECT)
    if solver not in DIRECT:
        again = ps.rollout(step, init, xs, solver=SOLVERS[solver](), guess=ps.guesses.Given(reference))
        assert int(again.stats.iterations) == 0


@pytest.mark.parametrize(
    ("solver", "problem"),
    fewer(
        one_of_each(
            product(
                ["sequential", "forgetting", "deer", "quasi_deer", "jacobi", "gradient_descent"],
                ["scalar", "autonomous"],
            )
        ),
        "gradient_descent-autonomous",
        "quasi_deer-autonomous",
        "jacobi-scalar",
    ),
)
def test_scalar_and_autonomous_systems(solver, problem, getkey):
    step, init, xs = posed(problem, solver, getkey(), SINGLE)
    length = LENGTH * times(solver) if xs is None else None
    solution = ps.rollout(step, init, xs, length, solver=SOLVERS[solver]())
    assert_close(solution.states, lax_states(step, init, xs, length), SINGLE)


@pytest.mark.parametrize(
    "solver",
    some(["sequential", "forgetting", "deer", "quasi_deer", "picard"], "sequential", "quasi_deer"),
)
def test_reverse_runs_from_the_last_input(solver, getkey):
    step, init, xs = posed("tree", solver, getkey(), SINGLE)
    solution = ps.rollout(step, init, xs, reverse=True, solver=SOLVERS[solver]())
    keep = lambda carry, x: (step(carry, x),) * 2  # noqa: E731
    carry, states = jax.lax.scan(keep, init, xs, reverse=True)
    assert_close(solution.states, states, SINGLE)
    assert_close(solution.carry, carry, SINGLE)


@pytest.mark.parametrize("solver", some(["sequential", "forgetting", "deer", "quasi_deer", "jacobi"], "deer"))
def test_a_batch_under_vmap_has_its_own_counts(solver, getkey):
    step, _, xs = posed("rnn", solver, getkey(), SINGLE)
    inits = jnp.stack([jnp.zeros(4, SINGLE), 3 * jnp.ones(4, SINGLE)])
    run = lambda init: ps.rollout(step, init, xs, solver=SOLVERS[solver]())  # noqa: E731
    batch = jax.vmap(run)(inits)
    for index in range(2):
        alone = run(inits[index])
        assert_close(batch.states[index], alone.states, SINGLE)
        assert abs(int(batch.stats.iterations[index]) - int(alone.stats.iterations)) <= 1


@pytest.mark.parametrize(
    ("solver", "length"),
    one_of_each(product(["sequential", "deer_dense", "deer_matrix_free", "jacobi", "gradient_descent"], [0, 1, 2])),
)
def test_short_sequences(solver, length, getkey):
    step, init, xs = PROBLEMS["tree"](getkey(), SINGLE)
    xs = xs[:length]
    solution = ps.rollout(step, init, xs, solver=SOLVERS[solver]())
    assert_close(solution.states, lax_states(step, init, xs), SINGLE)


@pytest.mark.parametrize("solver", some(CAUSAL, "quasi_deer", "elk"))
def test_iteration_i_leaves_the_first_i_states_exact(solver, getkey):
    step, init, xs = PROBLEMS["rnn"](getkey(), SINGLE)
    options = {"guess": ps.guesses.Normal(getkey()), "max_iterations": 3, "throw": False}
    solution = ps.rollout(step, init, xs, solver=SOLVERS[solver](), **options)
    assert int(solution.stats.iterations) == 3
    assert int(solution.stats.exact_prefix) >= 3


@pytest.mark.parametrize(
    ("solver", "criterion"),
    one_of_each(
        product(
            ["deer", "quasi_deer", "surrogate", "gradient_descent"],
            [ps.Merit(1e-4), ps.StateError(rtol=1e-2), ps.StepError(1e-3)],
        )
    ),
)
def test_the_iterate_tested_is_the_one_returned(solver, criterion, getkey):
    step, init, xs = PROBLEMS["rnn"](getkey(), SINGLE)
    solution = ps.rollout(step, init, xs, solver=SOLVERS[solver](), criterion=criterion)
    previous = jnp.concatenate([init[None], solution.states[:-1]])
    residual = solution.states - jax.vmap(step)(previous, xs)
    np.testing.assert_allclose(solution.stats.residual_norm, jnp.abs(residual).max(), rtol=1e-2)
    merit = 0.5 * jnp.mean(jnp.sum(residual**2, axis=1))
    np.testing.assert_allclose(solution.stats.merit, merit, rtol=1e-2)
    assert float(criterion.tol if isinstance(criterion, ps.Merit) else jnp.inf) >= float(merit) * (1 - 1e-3)


@pytest.mark.parametrize("solver", some(["deer", "jacobi", "gradient_descent"], "deer"))
def test_history_has_a_row_for_every_iterate_tested(solver, getkey):
    step, init, xs = PROBLEMS["rnn"](getkey(), SINGLE)
    solution = ps.rollout(step, init, xs, solver=SOLVERS[solver](), criterion=ps.Merit(1e-6), history=True)
    rows = int(solution.stats.iterations) + 1
    merit = np.asarray(solution.history.merit)
    assert np.isfinite(merit[:rows]).all()
    assert np.isnan(merit[rows:]).all()
    assert merit[rows - 1] == solution.stats.merit
    assert solution.history.step_norm[rows - 1] == 0
    assert (np.asarray(solution.history.step_norm[: rows - 1]) > 0).all()
    assert (np.asarray(solution.history.nonfinite[:rows]) == 0).all()


def test_every_exported_solver_and_linearization_is_a_member():
    exported = [getattr(ps, name) for name in dir(ps) if not name.startswith("_")]
    kinds = {kind for kind in exported if isinstance(kind, type)}
    solvers = [build() for build in SOLVERS.values()]
    tried = {type(solver) for solver in solvers} | {type(getattr(solver, "linearization", None)) for solver in solvers}
    contracts = (AbstractSolver, AbstractLinearization)
    assert {kind for kind in kinds if issubclass(kind, contracts)} <= tried
