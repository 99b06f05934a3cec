"""The truth table of stopping: every combination of evidence against the verdict it must give."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import some
from parascan.solvers.criterion import DESCENT_PATIENCE, FLOOR_PATIENCE, RUNAWAY, Progress


def progress(error=1.0, merit=1.0, defect=0.0, stagnation=0, all_finite=True, causal=True, scale=1.0, steps=None):
    return Progress(
        merit=jnp.float32(merit),
        initial_merit=jnp.float32(1.0),
        correction=jnp.float32([error, 0.0]),
        scale=jnp.float32([scale, 1.0]),
        defect=jnp.float32(defect),
        stagnation=jnp.int32(stagnation),
        all_finite=jnp.asarray(all_finite),
        causal=causal,
        steps=None if steps is None else jnp.float32(steps),
    )


def verdict(criterion, **evidence):
    stop, result = criterion.verdict(progress(**evidence))
    return next(name for name in ps.Result._name_to_item if bool(result == getattr(ps.Result, name))) if stop else None


@pytest.mark.parametrize("causal", [True, False])
def test_table_of_state_error_with_a_given_tolerance(causal):
    criterion = ps.StateError(rtol=1e-3)
    errors = {"met": 1e-4, "near": 1e-2, "far": 1.0}
    patience = {"fresh": 0, "floor": FLOOR_PATIENCE, "long": DESCENT_PATIENCE}
    for (size, error), (wait, stagnation), finite in itertools.product(errors.items(), patience.items(), [True, False]):
        given = verdict(criterion, error=error, stagnation=stagnation, all_finite=finite, causal=causal)
        if not causal and not finite:
            expected = "diverged"
        elif size == "met":
            expected = "successful" if finite else "nonfinite"
        elif not causal and wait == "long":
            expected = "stalled"
        else:
            expected = None
        assert given == expected, (size, wait, finite)


def test_the_floor_is_success_for_the_default_and_a_stall_for_a_given_tolerance():
    at_floor = {"error": 1e-5, "stagnation": FLOOR_PATIENCE}
    assert verdict(ps.StateError(), **at_floor) == "successful"
    assert verdict(ps.StateError(rtol=1e-7), **at_floor) == "stalled"
    assert verdict(ps.StateError(), error=1e-5, stagnation=FLOOR_PATIENCE - 1) is None
    assert verdict(ps.StateError(), error=1e-2, stagnation=10 * DESCENT_PATIENCE) is None


def test_tolerances_add_and_follow_the_size_of_each_entry():
    assert verdict(ps.StateError(rtol=0.0, atol=0.1), error=0.09, scale=1e6) == "successful"
    assert verdict(ps.StateError(rtol=0.0, atol=0.1), error=0.11, scale=1e6) is None
    assert verdict(ps.StateError(rtol=1e-3, atol=0.0), error=9.0, scale=1e4) == "successful"
    assert verdict(ps.StateError(rtol=1e-3, atol=0.0), error=9.0, scale=1e3) is None
    assert verdict(ps.StateError(atol=0.1), error=0.11, scale=1e6) is None


def test_a_runaway_iterate_is_not_excused_by_its_size():
    assert verdict(ps.StateError(rtol=1e-3), error=1.0, scale=1e30) == "successful"
    assert verdict(ps.StateError(rtol=1e-3), error=1.0, scale=1e30, defect=10.0) is None
    assert verdict(ps.StateError(), error=1.0, scale=1e30, defect=1.0, stagnation=100) is None


def test_merit_table():
    assert verdict(ps.Merit(1e-4), merit=0.9e-4) == "successful"
    assert verdict(ps.Merit(1e-4), merit=1.1e-4) is None
    assert verdict(ps.Merit(1e-4), merit=0.9e-4, all_finite=False) == "nonfinite"
    assert verdict(ps.Merit(1e-30), merit=1e-15, defect=1e-7, stagnation=FLOOR_PATIENCE) == "stalled"
    assert verdict(ps.Merit(1e-30), merit=1e-3, defect=1e-2, stagnation=1000) is None
    assert verdict(ps.Merit(1e-4), merit=3 * RUNAWAY, causal=False) == "diverged"
    assert verdict(ps.Merit(1e-4), merit=3 * RUNAWAY) is None


@pytest.mark.parametrize("weighted", some([False, True], True))
def test_step_error_judges_each_step_by_its_weight(weighted):
    xs = jax.random.normal(jax.random.key(0), (40, 3))
    weights = jnp.linspace(2.0, 0.01, 40) if weighted else None
    step = lambda s, x: jnp.tanh(0.9 * s[::-1] + x)  # noqa: E731
    criterion = ps.StepError(1e-2, weights)
    found = ps.rollout(step, jnp.zeros(3), xs, solver=ps.picard(), criterion=criterion)
    before = jnp.concatenate([jnp.zeros((1, 3)), found.states[:-1]])
    jumps = jnp.sqrt(jnp.mean((found.states - jax.vmap(step)(before, xs)) ** 2, axis=1))
    allowed = 1e-2 * (weights if weighted else jnp.ones(40))
    assert bool(jnp.all(jumps <= allowed * (1 + 1e-5)))
    earlier = ps.rollout(
        step,
        jnp.zeros(3),
        xs,
        solver=ps.picard(),
        criterion=criterion,
        max_iterations=int(found.stats.iterations) - 1,
        throw=False,
    )
    assert earlier.result == ps.Result.max_iterations_reached
    assert float(found.stats.error_estimate) == -1


def test_step_error_is_the_largest_weighted_residual():
    assert ps.StepError(0.1).ratio(progress(steps=[0.05, 0.2])) == pytest.approx(2)
    assert ps.StepError(0.1, jnp.asarray([0.1, 1.0])).ratio(progress(steps=[0.05, 0.2])) == pytest.approx(5)


def test_step_error_takes_no_derivative():
    def step(s, x):
        shape = jax.ShapeDtypeStruct(s.shape, s.dtype)
        return jax.pure_callback(lambda s, x: np.tanh(0.5 * s + x), shape, s, x, vmap_method="broadcast_all")

    given = (step, jnp.zeros(2), jnp.ones((20, 2)))
    with pytest.raises(ValueError, match="derivative"):
        ps.rollout(*given, solver=ps.jacobi())
    found = ps.rollout(*given, solver=ps.jacobi(), criterion=ps.StepError(1e-6))
    np.testing.assert_allclose(found.states, jax.lax.scan(lambda s, x: (step(s, x),) * 2, *given[1:])[1], atol=1e-5)


def test_step_error_is_not_met_by_steps_that_nothing_is_known_of():
    with pytest.raises(ValueError, match="no residuals of steps"):
        verdict(ps.StepError())
