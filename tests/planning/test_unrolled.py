"""The plain loop with several steps a turn: a solver that says so, and a plan that offers it where it is faster."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from parascan.planning import Plan, measure


def lorenz(s, _):
    x, y, z = s
    return s + 0.01 * jnp.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])


def scan_form(s, x):
    return lorenz(s, x), s


@pytest.mark.parametrize("adjoint", [None, ps.Implicit()])
def test_the_solver_unrolls_and_the_call_goes_first(adjoint):
    def program(solver, **options):
        call = lambda init: ps.scan(scan_form, init, None, 40, solver=solver, adjoint=adjoint, **options)  # noqa: E731
        return str(jax.make_jaxpr(call)(jnp.ones(3)))

    assert "unroll=4" in program(ps.Sequential(unroll=4))
    assert "unroll=1\n" in program(ps.Sequential())
    assert "unroll=4" not in program(ps.Sequential())
    assert "unroll=2" in program(ps.Sequential(unroll=4), unroll=2)


def test_unrolled_states_are_those_of_the_plain_loop():
    plain, four = (ps.rollout(lorenz, jnp.ones(3), length=103, solver=ps.Sequential(each)) for each in (1, 4))
    np.testing.assert_allclose(plain.states, four.states, rtol=1e-3)
    assert four.solver == ps.Sequential(unroll=4)
    assert four.stats.finite_prefix == 103


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [(0, ValueError, "given 0"), (True, TypeError, "given True"), (2.5, TypeError, "given 2.5, expected an integer")],
)
def test_no_number_of_steps_is_refused(given, kind, words):
    with pytest.raises(kind, match=f"unroll: .*{words}"):
        ps.Sequential(unroll=given)


@pytest.fixture
def clock(monkeypatch):
    """Seconds of a step for each number of steps in a turn, in place of a clock."""
    seconds = {1: 1e-6, 4: 4e-7, 8: 6e-7}
    for module in (measure, sys.modules["parascan.planning.rank"]):
        monkeypatch.setattr(module, "measure_alone", lambda recurrence, machine, unroll=1: seconds[unroll])
    return seconds


@pytest.mark.slow
def test_a_plan_offers_the_fastest_loop(clock):
    plan = ps.plan(lorenz, jnp.ones(3), length=2000)
    assert plan.solver == ps.Sequential(unroll=4)
    assert plan.speedup == pytest.approx(2.5, rel=0.05)
    assert "last bits" in plan.chosen.reason
    assert Plan.from_json(plan.to_json()).solver == ps.Sequential(unroll=4)
    assert ps.rollout(lorenz, jnp.ones(3), length=2000, solver=plan).states.shape == (2000, 3)


@pytest.mark.slow
def test_a_plan_keeps_the_bits_where_nothing_is_gained(clock):
    clock.update({4: 9.5e-7, 8: 2e-6})
    plan = ps.plan(lorenz, jnp.ones(3), length=2000)
    assert plan.solver == ps.Sequential()
    assert {each.standing for each in plan.candidates if "in a turn" in each.name} == {"rejected"}


@pytest.mark.slow
def test_without_a_clock_nothing_is_unrolled():
    plan = ps.plan(lorenz, jnp.ones(3), length=2000, measure=False)
    assert plan.solver == ps.Sequential()
    assert not [each for each in plan.candidates if "in a turn" in each.name]
