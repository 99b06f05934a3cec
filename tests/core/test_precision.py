"""Steps that compute more coarsely than their state is stored: tolerances in the units that they have; a warning."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import exhaustive
from parascan.problem.precision import units_of_rounding
from parascan.problem.signature import resolve

T, D = 400, 8
WEIGHTS = (np.random.default_rng(0).standard_normal((D, D)) * 0.5 / D**0.5).astype("float32")
XS = np.random.default_rng(1).standard_normal((T, D)).astype("float32")
HALF, SINGLE = jnp.bfloat16, jnp.float32
EPS = {dtype: float(jnp.finfo(dtype).eps) for dtype in (HALF, jnp.float16, SINGLE)}
SOLVERS = {
    "deer": ps.deer(),
    "elk": ps.elk(),
    "quasi": ps.quasi_deer(),
    "search": ps.LineSearch(ps.deer()),
    "hybrid": ps.Hybrid(ps.elk(), ps.deer()),
    "guarded": ps.WithFallback(ps.deer(), budget=40),
    "blocks": ps.MultipleShooting(ps.deer(), 8),
}
DEFAULT = ("deer",)
"""Those that run by default."""


def narrow(state, x, dtype=HALF):
    """A network whose products and activations are of a narrow dtype."""
    return jnp.tanh(WEIGHTS.astype(dtype) @ state.astype(dtype) + x.astype(dtype)).astype(SINGLE)


def leaky(state, x):
    return 0.9 * state + 0.1 * narrow(state, x)


def two_dtypes(carry, x):
    """A network in float32 with a running mean of its states in bfloat16."""
    state, mean = carry
    state = jnp.tanh(WEIGHTS @ state + x)
    return state, (0.9 * mean + 0.1 * state.astype(HALF)).astype(HALF)


STATE, PAIR = jnp.zeros(D), (jnp.zeros(D), jnp.zeros(D, HALF))


def reference(step, init):
    def both(carry, x):
        after = step(carry, x)
        return after, after

    return jax.lax.scan(both, init, XS)[1]


@pytest.mark.parametrize(
    ("step", "init", "name"),
    [pytest.param(narrow, STATE, name, marks=() if name in DEFAULT else pytest.mark.exhaustive) for name in SOLVERS]
    + [(two_dtypes, PAIR, "deer"), *exhaustive([(leaky, STATE, "elk"), (two_dtypes, PAIR, "elk")])],
)
def test_a_narrow_dtype_inside_costs_no_iteration_a_step(step, init, name):
    solution = ps.rollout(step, init, XS, solver=SOLVERS[name])
    assert int(solution.stats.iterations) <= 30
    assert not bool(solution.stats.slow)
    assert not bool(solution.stats.fell_back)
    for found, true in zip(jax.tree.leaves(solution.states), jax.tree.leaves(reference(step, init)), strict=True):
        np.testing.assert_allclose(found.astype(SINGLE), true.astype(SINGLE), atol=2 * EPS[HALF])


def test_a_leaf_that_no_narrow_value_reaches_keeps_its_digits():
    solution = ps.rollout(two_dtypes, PAIR, XS, solver=ps.deer())
    np.testing.assert_allclose(solution.states[0], reference(two_dtypes, PAIR)[0], atol=4e-6)


def test_double_precision_states_computed_in_single_precision():
    with jax.enable_x64(True):
        weights, xs = jnp.asarray(WEIGHTS), jnp.asarray(XS.astype("float64"))
        step = lambda s, x: jnp.tanh(weights @ s.astype(SINGLE) + x.astype(SINGLE)).astype("float64")  # noqa: E731
        solution = ps.rollout(step, jnp.zeros(D, "float64"), xs, solver=ps.elk())
    # 28 with JAX 0.10, 34 with JAX 0.12, of 400 steps: products come out otherwise by rounding.
    assert int(solution.stats.iterations) <= 40
    assert float(solution.stats.error_estimate) <= 1e-5


@pytest.mark.slow
def test_under_vmap_and_jit():
    starts = jnp.linspace(-1, 1, 3)[:, None] * jnp.ones(D)
    run = jax.jit(jax.vmap(lambda init: ps.rollout(narrow, init, XS, solver=ps.elk(), throw=False)))
    solutions = run(starts)
    assert np.all(np.asarray(solutions.stats.iterations) <= 30)
    assert np.all(np.asarray(solutions.result == ps.Result.successful))


def test_a_tolerance_of_ones_own_is_kept():
    solution = ps.rollout(narrow, STATE, XS, solver=ps.deer(), criterion=ps.StateError(rtol=1e-5))
    assert float(solution.stats.error_estimate) <= 2e-5
    np.testing.assert_allclose(solution.states, reference(narrow, STATE), atol=1e-4)


def rounded(dtype):
    return lambda s, x: jnp.sin(s.astype(dtype).astype(s.dtype)) + x


def in_a_loop(s, x):
    return jax.lax.fori_loop(0, 3, lambda _, s: jnp.sin(s.astype(HALF)).astype(s.dtype), s) + x


def in_a_branch(s, x):
    return jax.lax.cond(x[0] > 0, lambda s: s.astype(HALF).astype(s.dtype), lambda s: s, s) + x


@jax.custom_jvp
def with_a_rule(s):
    return jnp.sin(s.astype(HALF)).astype(s.dtype)


with_a_rule.defjvps(lambda tangent, _, s: tangent * jnp.cos(s))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (rounded(HALF), EPS[HALF]),
        (rounded(jnp.float16), EPS[jnp.float16]),
        (lambda s, x: jax.jit(rounded(HALF))(s, x), EPS[HALF]),
        (lambda s, x: jax.checkpoint(rounded(HALF))(s, x), EPS[HALF]),
        (lambda s, x: jnp.sin(jax.lax.reduce_precision(s, 8, 10)) + x, 2.0**-10),
        (in_a_loop, EPS[HALF]),
        (in_a_branch, EPS[HALF]),
        (lambda s, x: with_a_rule(s) + x, EPS[HALF]),
        # What is stored in a narrow dtype, or is not floating, makes no computation with the state coarse.
        (lambda s, x: jnp.tanh(WEIGHTS.astype(HALF).astype(SINGLE) @ s + x.astype(HALF).astype(SINGLE)), EPS[SINGLE]),
        (lambda s, x: jnp.where(s.astype(HALF) > 0, s, 0) + x, EPS[SINGLE]),
        (lambda s, x: s + x, EPS[SINGLE]),
    ],
)
def test_units_come_from_the_program_of_the_step(step, expected):
    signature = resolve(step, STATE, jnp.asarray(XS), None, scan_form=False)
    closed = jax.make_jaxpr(signature.step)(STATE, jnp.asarray(XS[0]))
    assert units_of_rounding(closed, signature.layout).tolist() == [expected] * D


def test_units_travel_from_leaf_to_leaf_over_steps():
    def step(carry, x):
        first, second, third, alone = carry
        return first.astype(HALF).astype(SINGLE) + x[0], 0.5 * first, 0.5 * second, 0.5 * alone + third * 0

    signature = resolve(step, (jnp.zeros(()),) * 4, jnp.asarray(XS), None, scan_form=False)
    closed = jax.make_jaxpr(signature.step)(signature.init, jnp.asarray(XS[0]))
    assert units_of_rounding(closed, signature.layout).tolist() == [EPS[HALF]] * 4


def test_a_program_that_is_not_understood_has_the_units_of_its_carry():
    signature = resolve(narrow, STATE, jnp.asarray(XS), None, scan_form=False)
    assert units_of_rounding(None, signature.layout).tolist() == [EPS[SINGLE]] * D  # pyright: ignore[reportArgumentType]


def logistic(state, _):
    return 3.9 * state * (1 - state)


@pytest.mark.slow
def test_many_iterations_are_a_warning_in_the_result():
    start = jnp.asarray(0.3)
    solution = ps.rollout(logistic, start, length=200, solver=ps.deer())
    assert bool(solution.result == ps.Result.successful)
    assert int(solution.stats.iterations) > 50
    assert bool(solution.stats.slow)
    assert not bool(ps.rollout(logistic, start, length=100, solver=ps.deer()).stats.slow)
    assert not bool(ps.rollout(logistic, start, length=200, solver=ps.Sequential()).stats.slow)
    assert not bool(ps.rollout(logistic, start, length=200).stats.slow)


def test_the_warning_is_one_for_each_element_of_a_batch():
    rates = jnp.asarray([3.9, 0.5, 0.8])
    run = lambda rate: ps.rollout(  # noqa: E731
        lambda s, _: rate * s * (1 - s), jnp.asarray(0.3), length=200, solver=ps.deer(), throw=False
    )
    assert jax.jit(jax.vmap(run))(rates).stats.slow.tolist() == [True, False, False]


def test_a_printed_solution_says_how_it_came_about():
    start = jnp.asarray(0.3)
    text = str(ps.rollout(logistic, start, length=200, solver=ps.deer()))
    assert text.startswith("successful\nNewton: iterations 1")
    assert "stats.slow" in text
    assert str(ps.rollout(logistic, start, length=20)).startswith(
        "successful\none step after the other\n  why: its steps"
    )
    guarded = str(ps.rollout(logistic, start, length=200, solver=ps.WithFallback(ps.deer(), budget=5)))
    assert "iterations 5" in guarded
    assert "stats.fell_back" in guarded
    batch = jax.vmap(lambda s: ps.rollout(logistic, s, length=20, solver=ps.deer()))(jnp.linspace(0.1, 0.4, 3))
    assert "3 of 3 successful" in str(batch)
    texts = []
    jax.jit(lambda s: texts.append(str(ps.rollout(logistic, s, length=20))))(start)
    assert texts[0].startswith("Solution(")


def test_scan_has_no_result_and_warns_of_many_iterations_where_it_is_eager():
    scanned = lambda s, x: (logistic(s, x), None)  # noqa: E731
    call = lambda start: ps.scan(scanned, start, length=200, solver=ps.deer())[0]  # noqa: E731
    with pytest.warns(RuntimeWarning, match="Newton took 1.. iterations"):
        call(jnp.asarray(0.3))
    jax.jit(call)(jnp.asarray(0.3))
    ps.scan(scanned, jnp.asarray(0.3), length=100, solver=ps.deer())
