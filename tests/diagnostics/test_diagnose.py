"""Diagnoses of systems about which the answer is known."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

import parascan as ps
from combinations import some
from parascan.diagnostics import Diagnosis, Estimate
from parascan.diagnostics.forecast.verdict import LARGEST_SHARE, Seen, rule
from parascan.diagnostics.growth.coupling import Coupling

KEY = jax.random.key(0)


def contracting(state, x):
    """A network whose Jacobians have norms below 0.5."""
    return 0.5 * jnp.tanh(state + x)


class Quadratic(eqx.Module):
    """``s' = A s + c s^2``: one program for neutral, contracting and exploding maps."""

    matrix: Array
    curvature: Array

    def __call__(self, state, x):
        return self.matrix @ state + self.curvature * state**2


def diagnosed(matrix, curvature=0.0):
    """A short diagnosis of a quadratic map of the plane."""
    step = Quadratic(jnp.asarray(matrix, float), jnp.asarray(curvature))
    return ps.diagnose(step, jnp.array([1.0, 0.5]), length=1000, key=KEY, budget=200)


@pytest.fixture(scope="module")
def forgetful():
    """A diagnosis of a system that forgets."""
    xs = jnp.sin(jnp.arange(5000.0))[:, None] * jnp.ones(3)
    return ps.diagnose(contracting, jnp.zeros(3), xs, key=KEY)


def test_a_contracting_network_is_predictable(forgetful):
    assert forgetful.verdict == "predictable"
    solution = ps.rollout(
        contracting, jnp.zeros(3), jnp.sin(jnp.arange(5000.0))[:, None] * jnp.ones(3), solver=ps.deer()
    )
    taken, expected = int(solution.stats.iterations), float(forgetful.iterations["newton"].value)
    assert abs(expected - taken) <= 2
    assert float(forgetful.exponent.high) < np.log(0.5) + 1e-3
    assert float(forgetful.rho.value) <= 0.5 + 1e-6
    jacobi = ps.rollout(
        contracting, jnp.zeros(3), jnp.sin(jnp.arange(5000.0))[:, None] * jnp.ones(3), solver=ps.jacobi()
    )
    low, high = (float(getattr(forgetful.iterations["jacobi"], end)) for end in ("low", "high"))
    assert low <= int(jacobi.stats.iterations) <= high


def test_the_record_reads_well_and_is_json(forgetful):
    plain = json.loads(json.dumps(forgetful.to_dict(), allow_nan=False))
    assert plain["verdict"] == "predictable"
    assert plain["exponent"]["value"] == pytest.approx(float(forgetful.exponent.value))
    assert set(plain["iterations"]) == set(forgetful.iterations)
    assert plain["prediction_horizon"]["value"] is None
    text = str(forgetful)
    assert text.startswith("predictable: T = 5000, D = 3, float32")
    assert all(line in text for line in forgetful.evidence)
    assert len(text.splitlines()) < 30
    lengths = [length for length, _ in forgetful.newton_curve()]
    assert lengths[0] == 1
    assert lengths[-1] == 5000


def test_the_cost_is_stated_and_bounded(forgetful):
    assert forgetful.cost["steps"] <= 2000
    assert forgetful.cost["evaluations"] <= 6 * 2000


@pytest.mark.slow
def test_a_million_steps_cost_what_the_budget_allows():
    found = ps.diagnose(lambda s, x: 0.9 * s + 0.1 * jnp.cos(s), jnp.ones(1), length=10**6, key=KEY, budget=4000)
    assert found.cost["steps"] <= 4000
    assert found.cost["evaluations"] <= 6 * 4000
    assert found.verdict == "predictable"


@pytest.mark.slow
def test_neutral_maps_are_not_predictable_and_contracting_ones_are():
    assert diagnosed([[0.6, -0.8], [0.8, 0.6]]).verdict != "predictable"
    assert diagnosed([[1.0, 0.0], [0.0, 1.0]]).verdict != "predictable"
    assert diagnosed([[0.5, 0.0], [0.0, 0.4]]).verdict == "predictable"


@pytest.mark.slow
def test_states_that_leave_the_range_of_numbers_leave_it_open():
    found = diagnosed([[0.0, 0.0], [0.0, 0.0]], 10.0)
    assert found.verdict == "undetermined"
    assert "range of numbers" in found.evidence[0]
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.slow
def test_chaotic_lorenz_is_unpredictable_and_rounding_in_float32_is_named():
    lorenz = ps.systems.get("lorenz")
    start = jax.lax.fori_loop(0, 2000, lambda _, s: lorenz.step(s, None), lorenz.initial_state)
    found = ps.diagnose(lorenz.step, start, length=100_000, key=KEY, budget=6000, dt=0.01)
    assert found.verdict == "unpredictable"
    assert float(found.exponent_per_time.value) == pytest.approx(100 * float(found.exponent.value), rel=1e-5)
    assert 500 < float(found.prediction_horizon.value) < 5000
    assert any("float32 rounding takes over" in line for line in found.evidence)


@pytest.mark.slow
def test_a_known_transient_is_left_out():
    factors = jnp.concatenate([jnp.full(500, 1.05), jnp.full(3500, 0.9)])[:, None]
    whole, after = (
        ps.diagnose(lambda s, x: x * s + 0.1, jnp.ones(1), factors, key=KEY, budget=400, settle=settle)
        for settle in (0, 500)
    )
    assert float(after.exponent.value) == pytest.approx(np.log(0.9), abs=1e-5)
    assert float(after.exponent.high) - float(after.exponent.low) < 1e-4
    assert float(whole.exponent.value) > np.log(0.9) + 1e-3
    assert min(after.pilot_places) > 500 > min(whole.pilot_places)
    assert after.cost["steps"] == whole.cost["steps"] + 500


@pytest.mark.parametrize("kept", some([0.0, 0.3], 0.3))
@pytest.mark.slow
def test_a_derivative_that_is_not_that_of_the_value_leaves_it_open(kept):
    def step(state, x):
        inside = kept * state + (1 - kept) * jax.lax.stop_gradient(state)
        return 4 * inside * (1 - inside)

    found = ps.diagnose(step, jnp.asarray([0.3]), length=4000, key=KEY, budget=200)
    assert found.verdict == "undetermined"
    assert "derivative of the step is not that of its value" in found.evidence[0]
    assert np.isnan(found.exponent.value)
    assert np.isinf(found.exponent.high)
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.slow
def test_one_step_of_one_entry_in_either_form_and_any_tree():
    one = ps.diagnose(lambda s, x: jnp.sin(s), jnp.ones(1), length=1, key=KEY)
    assert one.verdict in ("marginal", "undetermined")
    assert float(one.iterations["newton"].high) <= 1
    tree = ps.diagnose(
        lambda carry, x: ({"a": 0.5 * carry["a"] + x, "n": carry["n"] + 1}, carry["a"]),
        {"a": jnp.zeros(()), "n": 0},
        jnp.ones(300),
        key=KEY,
        budget=100,
        reverse=True,
    )
    assert tree.verdict == "predictable"
    assert tree.size == 1


def test_wrong_arguments_are_refused():
    halve = lambda s, x: 0.5 * s  # noqa: E731
    cases = [
        ({"init": jnp.array([1.0, jnp.nan])}, ValueError, "given NaN in 1 of 2"),
        ({"length": 0}, ValueError, "length: given 0"),
        ({"length": None}, ValueError, "length: given None"),
        ({"criterion": "merit"}, TypeError, "criterion: given str"),
        ({"block": 0}, ValueError, "block: given 0"),
        ({"block": 1.5}, TypeError, "block: given 1.5"),
        ({"budget": 0}, ValueError, "budget: given 0"),
        ({"dt": 0.0}, ValueError, "dt: given 0.0"),
        ({"settle": -1}, ValueError, "settle: given -1, expected 0 or more"),
        ({"settle": 10}, ValueError, "settle: given 10, expected less than T = 10"),
        ({"settle": 2.0}, TypeError, "settle: given 2.0, expected an integer"),
    ]
    for changes, error, text in cases:
        call = {"init": jnp.ones(2), "length": 10, "key": KEY} | changes
        with pytest.raises(error, match=text):
            ps.diagnose(halve, call.pop("init"), **call)


def estimate(value, low, high):
    """An estimate of three numbers."""
    return Estimate(*(jnp.asarray(float(each)) for each in (value, low, high)), "given")


def seen(*, apart=0.0, jump=0.0, met=1.0, measured=500, complete=False, whole=0, finite=True):
    """What a verdict rests on beside the exponent."""
    met = min(met, 1 - apart)
    shares = map(jnp.asarray, (apart, jump, 1 - met, met, met))
    coupling = Coupling(estimate(-0.1, -0.1, -0.1), *shares, rows=1000)
    return Seen(measured, complete, coupling, 1.0, whole, finite)


@pytest.mark.parametrize(
    ("exponent", "newton", "shown", "verdict"),
    [
        ((-0.1, -0.12, -0.08), (10, 5, 20), {}, "predictable"),
        ((-float("inf"), -float("inf"), -float("inf")), (1, 1, 1), {}, "predictable"),
        ((-0.1, -0.12, -0.08), (10, 5, 300), {}, "marginal"),
        ((-0.1, -0.12, -0.08), (10, 5, 20), {"apart": 0.5}, "marginal"),
        ((-0.1, -0.12, -0.08), (10, 5, 20), {"met": 0.5}, "marginal"),
        ((-0.02, -0.021, -0.019), (10, 5, 20), {"met": 0.5}, "predictable"),
        ((-0.005, -0.006, -0.004), (10, 5, 20), {}, "marginal"),
        ((0.1, 0.08, 0.12), (500, 400, 1000), {}, "unpredictable"),
        ((0.1, 0.08, 0.12), (500, 400, 1000), {"apart": 1.0}, "unpredictable"),
        ((0.1, 0.08, 0.12), (500, 400, 1000), {"apart": 1.0, "jump": 30.0}, "unpredictable"),
        ((0.1, 0.08, 0.12), (500, 400, 1000), {"jump": 30.0}, "marginal"),
        ((0.1, 0.01, 0.12), (500, 400, 1000), {}, "undetermined"),
        ((0.005, 0.004, 0.006), (50, 40, 100), {}, "marginal"),
        ((-0.01, -0.04, 0.03), (10, 5, 20), {}, "undetermined"),
        ((-0.01, -0.04, 0.03), (10, 5, 20), {"measured": 100}, "marginal"),
        ((-0.02, -0.04, 0.03), (10, 5, 20), {"complete": True}, "predictable"),
        ((0.0, -0.001, 0.001), (10, 5, 20), {}, "marginal"),
        ((float("nan"), -float("inf"), float("inf")), (10, 5, 20), {}, "undetermined"),
        ((-0.1, -0.12, -0.08), (10, 5, 20), {"finite": False}, "undetermined"),
    ],
)
def test_the_verdict_follows_from_exponent_copies_and_iterations(exponent, newton, shown, verdict):
    found = rule(estimate(*exponent), seen(**shown), estimate(*newton), 1000)
    assert found.verdict == verdict
    assert found.evidence
    if found.verdict == "predictable":
        assert newton[2] <= LARGEST_SHARE * 1000


def test_the_evidence_names_jumps_neutral_modes_and_leaves_that_no_derivative_knows():
    newton = estimate(10, 5, 20)
    jumping = rule(estimate(-0.1, -0.1, -0.1), seen(apart=0.4, jump=30.0, whole=1), newton, 1000).evidence
    assert any("The step jumps: it took copies that were close apart by a factor of 30" in line for line in jumping)
    assert any("60% met in 1000 steps, and 40% came no closer" in line for line in jumping)
    assert any("One leaf of the carry is not floating" in line for line in jumping)
    smooth = rule(estimate(-0.1, -0.1, -0.1), seen(apart=0.4, jump=1.0), newton, 1000).evidence
    assert not any("jumps" in line for line in smooth)
    met = rule(estimate(0.1, 0.08, 0.12), seen(jump=30.0), newton, 1000).evidence
    assert any("come together nevertheless" in line for line in met)
    # Pairs that met have come together, however little their mean rate says of it.
    unsure = eqx.tree_at(lambda each: each.coupling.rate.high, seen(jump=30.0), jnp.asarray(0.01))
    assert rule(estimate(0.1, 0.08, 0.12), unsure, newton, 1000).evidence == met
    chain = rule(estimate(0.0, -0.001, 0.001), seen(apart=0.4, jump=30.0), newton, 1000).evidence
    assert any("40% came no closer" in line and "does not see decisions" in line for line in chain)
    assert not any("neither grows nor dies" in line for line in chain)
    neutral = rule(estimate(0.0, -0.001, 0.001), seen(), newton, 1000).evidence
    assert any("one direction neither grows nor dies, as a running sum" in line for line in neutral)
    assert not any("budget" in line for line in neutral)


def test_a_diagnosis_is_a_record(forgetful):
    assert isinstance(forgetful, Diagnosis)


@pytest.mark.slow
@pytest.mark.parametrize("length", [1, 2, 100])
def test_a_system_without_memory_takes_one_iteration_of_every_method(length):
    diagnosis = ps.diagnose(lambda s, x: 0 * s + x, jnp.zeros(1), jnp.ones((length, 1)), key=jax.random.key(0))
    assert float(diagnosis.exponent.value) == -jnp.inf
    assert float(diagnosis.memory_horizon.value) == 1
    assert [float(getattr(diagnosis.iterations["jacobi"], end)) for end in ("low", "value", "high")] == [1, 1, 1]
