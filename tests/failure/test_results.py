"""Every result code is reached, reported or raised, and never dressed up as success."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import parascan as ps
from combinations import some


def contracting(state, x):
    return 0.5 * jnp.tanh(state) + x


def logistic(state, _):
    return 4.0 * state * (1 - state)


XS = jnp.linspace(-1, 1, 50)[:, None] * jnp.ones(3)
# Newton's method may meet the last bit of every entry; descent never does.
DESCENT = ps.GradientDescent(optax.sgd(0.3))


def outcomes():
    """One call for every code but success."""
    chaotic = ps.guesses.Normal(jax.random.key(0))
    return {
        "max_iterations_reached": lambda throw: ps.rollout(
            logistic, jnp.asarray(0.3), length=300, solver=ps.deer(), max_iterations=3, guess=chaotic, throw=throw
        ),
        "stalled": lambda throw: ps.rollout(
            contracting, jnp.zeros(3), XS, solver=DESCENT, criterion=ps.StateError(rtol=1e-12), throw=throw
        ),
        "diverged": lambda throw: ps.rollout(
            contracting, jnp.zeros(3), XS, solver=ps.GradientDescent(optax.sgd(50.0)), throw=throw
        ),
        "nonfinite": lambda throw: ps.rollout(
            contracting, jnp.zeros(3), XS.at[20].set(jnp.nan), solver=ps.deer(), throw=throw
        ),
        "uncertified": lambda throw: ps.rollout(
            logistic, jnp.asarray(0.3), length=100, solver=ps.Sequential(), certify=1e-3, throw=throw
        ),
    }


ADVICE = {
    "max_iterations_reached": "Sequential",
    "stalled": "near rounding",
    "diverged": "GradientDescent",
    "nonfinite": "step 21",
}
"""What a message says to try."""


@pytest.mark.parametrize("code", list(outcomes()))
def test_code_is_returned(code):
    solution = outcomes()[code](throw=False)
    assert bool(solution.result == getattr(ps.Result, code))


@pytest.mark.parametrize("code", list(outcomes()))
def test_code_is_raised_with_cause_and_cure(code):
    with pytest.raises(ps.RolloutError) as caught:
        outcomes()[code](throw=True)
    assert ps.Result[getattr(ps.Result, code)] in str(caught.value)
    assert "iterations" in str(caught.value)
    assert re.search(ADVICE.get(code, ""), str(caught.value))
    assert bool(caught.value.solution.result == getattr(ps.Result, code))


@pytest.mark.parametrize("code", some(outcomes(), "max_iterations_reached", "nonfinite"))
def test_code_is_raised_under_jit(code):
    with pytest.raises(eqx.EquinoxRuntimeError, match=ps.Result[getattr(ps.Result, code)][:40].replace("(", r"\(")):
        jax.block_until_ready(eqx.filter_jit(outcomes()[code])(throw=True).carry)


@pytest.mark.parametrize("code", list(outcomes()))
def test_every_message_ends_with_a_remedy(code):
    text = ps.Result[getattr(ps.Result, code)]
    assert any(word in text for word in ("Use ", "use ", "Raise ", "Loosen ", "Check "))


def test_all_codes_are_covered():
    assert set(outcomes()) | {"successful"} == set(ps.Result._name_to_item)


def test_nan_input_keeps_the_states_before_it_and_voids_the_rest():
    solution = outcomes()["nonfinite"](throw=False)
    reference = jax.lax.scan(lambda s, x: (contracting(s, x),) * 2, jnp.zeros(3), XS)[1]
    assert int(solution.stats.finite_prefix) == 20
    np.testing.assert_allclose(solution.states[:20], reference[:20], atol=1e-5)
    assert np.isnan(solution.states[20:]).all()


def test_a_system_that_blows_up_is_nonfinite_not_successful():
    for solver in (ps.Sequential(), ps.deer(), ps.quasi_deer(), ps.jacobi()):
        solution = ps.rollout(lambda s, _: s**2, jnp.asarray(3.0), length=20, solver=solver, throw=False)
        assert bool(solution.result == ps.Result.nonfinite)
        assert int(solution.stats.finite_prefix) == 6


def test_infinite_intermediate_states_are_repaired_and_counted():
    solution = ps.rollout(
        logistic,
        jnp.asarray(0.3),
        length=60,
        solver=ps.deer(),
        guess=ps.guesses.Normal(jax.random.key(1), 1e30),
        throw=False,
    )
    assert int(solution.stats.repairs) > 0
    assert bool(jnp.isfinite(solution.states).all())


def test_derivatives_that_are_not_finite_do_not_stop_the_iterations():
    step = lambda s, x: 0.5 * jnp.sqrt(jnp.abs(s)) + x  # noqa: E731
    xs = jnp.ones((30, 2))
    solution = ps.rollout(step, jnp.zeros(2), xs, solver=ps.deer(), guess=ps.guesses.Zeros())
    reference = jax.lax.scan(lambda s, x: (step(s, x),) * 2, jnp.zeros(2), xs)[1]
    np.testing.assert_allclose(solution.states, reference, rtol=1e-5)


def test_one_bad_element_of_a_batch_leaves_the_others_alone():
    xs = jnp.stack([XS, XS.at[7].set(jnp.nan), 2 * XS])
    batch = jax.vmap(lambda x: ps.rollout(contracting, jnp.zeros(3), x, solver=ps.deer(), throw=False))(xs)
    assert list(np.asarray(batch.result == ps.Result.successful)) == [True, False, True]
    assert list(np.asarray(batch.result == ps.Result.nonfinite)) == [False, True, False]
    for index in (0, 2):
        alone = ps.rollout(contracting, jnp.zeros(3), xs[index], solver=ps.deer())
        assert int(alone.stats.iterations) == int(batch.stats.iterations[index])
        np.testing.assert_allclose(alone.states, batch.states[index], atol=1e-6)


def test_a_small_step_is_not_taken_for_convergence():
    slow = ps.GradientDescent(optax.sgd(1e-9))
    solution = ps.rollout(contracting, jnp.zeros(3), XS, solver=slow, throw=False)
    assert not bool(solution.result == ps.Result.successful)


def test_inputs_without_entries_are_inputs():
    solution = ps.rollout(lambda s, x: 0.5 * s + 1, jnp.zeros(2), jnp.zeros((200, 0)), solver=ps.deer())
    np.testing.assert_allclose(solution.states[-1], 2.0, rtol=1e-6)


def test_zero_budget_tests_the_guess():
    solution = ps.rollout(contracting, jnp.zeros(3), XS, solver=ps.deer(), max_iterations=0, throw=False)
    assert int(solution.stats.iterations) == 0
    assert bool(solution.result == ps.Result.max_iterations_reached)
    np.testing.assert_array_equal(solution.states, jnp.zeros((50, 3)))


def test_an_iterate_that_ran_away_is_not_returned_but_the_best_one():
    solution = ps.rollout(
        contracting, jnp.zeros(3), XS, solver=ps.GradientDescent(optax.sgd(50.0)), history=True, throw=False
    )
    best = int(solution.stats.improved_at)
    assert bool(solution.result == ps.Result.diverged)
    assert int(solution.stats.iterations) > best
    assert float(solution.stats.merit) == float(solution.history.merit[best])
    previous = jnp.concatenate([jnp.zeros((1, 3)), solution.states[:-1]])
    residual = solution.states - jax.vmap(contracting)(previous, XS)
    np.testing.assert_allclose(0.5 * jnp.mean(jnp.sum(residual**2, axis=1)), solution.stats.merit, rtol=1e-4)


def test_where_and_when_it_went_wrong():
    # Jacobi settles a step an iteration; from the sixth on a coordinate jumps, and the guess is right until then.
    step = lambda s, x: s + x  # noqa: E731
    xs = jnp.zeros((40, 1)).at[6].set(1.0)
    solution = ps.rollout(step, jnp.zeros(1), xs, solver=ps.jacobi(), max_iterations=5, throw=False)
    assert int(solution.stats.settled_prefix) == 6 + 5
    assert int(solution.stats.exact_prefix) == 6 + 5
    with pytest.raises(ps.RolloutError, match=r"step 12 \(row 11\)"):
        ps.rollout(step, jnp.zeros(1), xs, solver=ps.jacobi(), max_iterations=5)


@pytest.mark.parametrize("name", some(["deer", "elk"], "deer"))
def test_a_bad_element_changes_no_bit_of_the_others(name):
    solver = getattr(ps, name)()
    rates = jnp.asarray([2.0, jnp.nan, 4.0, 1.2])[:, None] * jnp.ones(24)
    step = lambda s, rate: rate * s * (1 - s)  # noqa: E731

    @jax.jit
    def run(rates):
        one = lambda xs: ps.rollout(  # noqa: E731
            step, jnp.asarray(0.3), xs, solver=solver, max_iterations=9, throw=False
        )
        return jax.vmap(one)(rates)

    mixed, alike = run(rates), run(rates.at[1].set(rates[0]))
    codes = ("successful", "nonfinite", "max_iterations_reached", "successful")
    assert [bool((mixed.result == getattr(ps.Result, code))[i]) for i, code in enumerate(codes)] == [True] * 4
    for given, expected in zip(jax.tree.leaves(mixed), jax.tree.leaves(alike), strict=True):
        np.testing.assert_array_equal(given[jnp.asarray([0, 2, 3])], expected[jnp.asarray([0, 2, 3])])
    assert len(set(np.asarray(mixed.stats.iterations).tolist())) > 1


@pytest.mark.parametrize("solver", [ps.Sequential(), ps.MultipleShooting(ps.deer(), 4)], ids=["sequential", "blocks"])
def test_finite_steps_of_a_reversed_rollout_are_counted_from_the_end(solver):
    xs = jnp.ones((20, 2)).at[12].set(jnp.nan)
    solution = ps.rollout(lambda s, x: 0.5 * s + x, jnp.zeros(2), xs, reverse=True, solver=solver, throw=False)
    assert bool(solution.result == ps.Result.nonfinite)
    assert int(solution.stats.finite_prefix) == 7
    assert bool(jnp.all(jnp.isfinite(solution.states[13:])))


def test_a_default_that_gave_its_chunks_up_says_so(getkey):
    """It was said to have run "in spite of the chunks asked for", where nobody had asked for any."""
    weights, xs = jax.random.normal(getkey(), (64, 64)), jax.random.normal(getkey(), (17984, 64))
    lines = str(ps.rollout(lambda state, x: jnp.tanh(weights @ state + x), jnp.zeros(64), xs)).splitlines()
    assert lines[0] == "successful"
    assert re.fullmatch(r"chunks given up after \d+ steps of warm-up, .*, then one step after the other .*", lines[1])
