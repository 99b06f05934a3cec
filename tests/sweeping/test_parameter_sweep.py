"""A sweep against closed forms and against the functions that it is made of."""

import json
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import some

KEY = jax.random.key(0)
INPUTS = jnp.ones((300, 2))
MATRIX = jnp.array([[0.9, 0.2], [-0.3, 0.8]])


def linear(gain):
    return (lambda s, x: gain * s + x), jnp.zeros(2), INPUTS


def network(gain):
    weights = gain * jnp.asarray(np.random.default_rng(0).normal(size=(12, 12))) / 12**0.5
    return (lambda s, x: weights @ jnp.tanh(s) + x), jnp.linspace(-1, 1, 12), 0.1 * jnp.ones((200, 12))


class Leaky(eqx.Module):
    rate: jax.Array

    def __call__(self, s, x):
        return self.rate * jnp.tanh(s) + x


def module(gain):
    return Leaky(gain), jnp.zeros(2), INPUTS


def nested(gain):
    def inner(s):
        return jnp.tanh(gain * s)

    def helper(s):
        return jax.nn.relu(s) + 0.1 * s

    return (lambda s, x: helper(inner(s)) + 0.01 * x), jnp.ones(2), INPUTS


def test_of_a_linear_step_everything_is_known():
    gains = np.array([0.25, 0.5, 0.8, 1.1, 1.25])
    found = ps.sweep_parameters(linear, {"gain": gains}, key=KEY, dt=0.5)
    np.testing.assert_allclose(found.exponent.value, np.log(gains), atol=1e-12)
    np.testing.assert_allclose(found.exponent_per_time.value, 2 * np.log(gains), atol=1e-12)
    assert (found.exponent.low <= np.log(gains)).all()
    assert (np.log(gains) <= found.exponent.high).all()
    assert found.updates.tolist() == [1] * 5
    assert found.solved.all()
    assert (set(found.outcome), set(found.reason)) == ({"successful"}, {""})
    threshold = found.threshold
    assert (threshold.low, threshold.high) == (0.8, 1.1)
    # Zero of the line through both neighbors.
    np.testing.assert_allclose(threshold.value, 0.8 - np.log(0.8) * 0.3 / np.log(1.1 / 0.8), rtol=1e-9)
    assert found.length == 300


@pytest.mark.slow
def test_verdicts_on_a_linear_step(real_diagnosis):
    found = ps.sweep_parameters(linear, {"gain": [0.25, 1.25]}, key=KEY)
    assert found.verdict.tolist() == ["predictable", "unpredictable"]


@pytest.mark.slow
def test_points_are_what_the_functions_say_one_by_one(real_diagnosis):
    gains = [1.4]
    criterion, solver = ps.Merit(1e-8), ps.quasi_deer()
    found = ps.sweep_parameters(network, {"gain": gains}, 60, key=KEY, solver=solver, criterion=criterion, budget=90)
    for index, gain in enumerate(gains):
        step, init, xs = network(gain)
        call = (step, init, xs[:60])
        estimate = ps.lyapunov_exponents(*call, key=KEY).estimate
        diagnosis = ps.diagnose(*call, key=KEY, criterion=criterion, budget=90)
        solution = ps.rollout(*call, solver=solver, criterion=criterion)
        for end in ("value", "low", "high"):
            np.testing.assert_allclose(getattr(found.exponent, end)[index], getattr(estimate, end), rtol=1e-9)
            expected = getattr(diagnosis.iterations["quasi_newton"], end)
            np.testing.assert_allclose(getattr(found.expected, end)[index], expected, rtol=1e-9)
        assert found.updates[index] == int(solution.stats.iterations)
        assert found.verdict[index] == diagnosis.verdict
    assert found.length == 60


@pytest.mark.parametrize("make", some([linear, network, module, nested], module))
@pytest.mark.slow
def test_steps_of_one_shape_share_their_programs(make, compiled):
    gains = np.array([0.3, 0.6])
    seen = []
    with compiled() as programs:
        found = ps.sweep_parameters(
            make, {"gain": gains}, key=KEY, budget=300, progress=lambda at: seen.append(len(programs))
        )
    assert seen[1] > 0
    assert seen[2:] == [seen[1]]
    fresh = [float(ps.lyapunov_exponents(*make(float(gain)), key=KEY).per_step) for gain in gains]
    np.testing.assert_allclose(found.exponent.value, fresh, rtol=1e-9)


def test_two_parameters_make_a_grid_with_the_first_parameter_first():
    def make(gain, scale):
        return (lambda s, x: gain * scale * s), jnp.zeros(2), None

    gains, scales = np.array([0.4, 0.8, 1.5]), np.array([0.5, 1.0])
    found = ps.sweep_parameters(make, {"gain": gains, "scale": scales}, 100, key=KEY)
    np.testing.assert_allclose(found.exponent.value, np.log(np.outer(gains, scales)), atol=1e-12)
    assert found.updates.shape == found.reason.shape == (3, 2)
    assert np.isnan(found.threshold.value[0])
    assert np.isneginf(found.threshold.low[0])
    assert found.threshold.low[1] == 0.8
    assert found.threshold.high[1] == 1.5
    assert [len(each) for each in found.crossings] == [0, 1]
    assert "scale = 0.5" in str(found)
    assert "crosses zero at gain" in str(found)


@pytest.mark.slow
def test_integers_stay_integers_and_may_be_sizes():
    def make(size):
        assert type(size) is int
        return (lambda s, x: 0.5 * s), jnp.ones(size), None

    found = ps.sweep_parameters(make, {"size": np.array([1, 3])}, 60, key=KEY)
    np.testing.assert_allclose(found.exponent.value, np.log([0.5, 0.5]))


@pytest.mark.slow
def test_states_keep_their_dtype():
    def make(gain):
        return (lambda s, x: gain * jnp.tanh(s) + 1), jnp.ones(2, jnp.float32), None

    found = ps.sweep_parameters(make, {"gain": [0.25, 0.5]}, 80, key=KEY)
    assert (set(found.reason), found.solved.all()) == ({""}, True)


def test_a_point_that_fails_is_told_with_its_place_and_the_others_go_on():
    def make(gain):
        if gain > 0.7:
            raise KeyError("no such gain")

        def step(s, x):
            return jnp.dot(s, jnp.ones(5)) if gain > 0.5 else gain * s

        return step, jnp.zeros(2), None

    found = ps.sweep_parameters(make, {"gain": [0.4, 0.6, 0.8]}, 50, key=KEY)
    assert found.reason[0] == ""
    assert found.solved.tolist() == [True, False, False]
    assert found.reason[1].startswith("TypeError: dot_general")
    assert "test_parameter_sweep.py, line" in found.reason[1]
    assert found.reason[2].startswith("KeyError: 'no such gain'")
    assert "test_parameter_sweep.py, line" in found.reason[2]
    assert np.isnan(found.exponent.value[1:]).all()
    assert np.isnan(found.updates[1:]).all()
    assert "failed at gain = 0.8: KeyError" in str(found)


@pytest.mark.slow
def test_traced_values_are_a_reason_in_words():
    def updates(scale):
        made = lambda gain: (lambda s, x: jnp.tanh(gain * scale * s) + x, jnp.zeros(2), jnp.ones((20, 2)))  # noqa: E731
        reason = ps.sweep_parameters(made, {"gain": [0.5]}, key=KEY).reason[0]
        assert (
            "make: given traced values, expected arrays: a sweep reads numbers. Call ps.sweep_parameters outside"
            in reason
        )
        return scale

    jax.grad(updates)(1.0)


def test_fewer_inputs_than_steps_are_a_reason():
    found = ps.sweep_parameters(linear, {"gain": [0.5]}, 301, key=KEY)
    assert found.reason[0] == "ValueError: length: given 301, expected at most 300, as many steps as there are inputs."


@pytest.mark.slow
def test_a_rollout_that_ends_early_is_not_solved():
    def make(r):
        system = ps.systems.logistic(r=r)
        return system.step, system.initial_state, None

    found = ps.sweep_parameters(make, {"r": [2.5, 4.0]}, 400, key=KEY, max_iterations=12, budget=200)
    assert found.solved.tolist() == [True, False]
    assert found.outcome.tolist() == ["successful", "max_iterations_reached"]
    assert found.updates[1] == 12
    np.testing.assert_allclose(found.exponent.value, [np.log(0.5), np.log(2)], atol=0.05)
    assert "not solved" in str(found).splitlines()[3]


@pytest.mark.slow
def test_a_method_without_a_forecast_has_no_expected_updates():
    found = ps.sweep_parameters(linear, {"gain": [0.5]}, key=KEY, solver=ps.scale_elk(0.1))
    assert np.isnan(found.expected.value).all()
    assert found.updates[0] > 1


@pytest.mark.slow
def test_a_diagnosis_shares_its_programs_too(real_diagnosis, compiled):
    seen = []
    with compiled() as programs:
        ps.sweep_parameters(linear, {"gain": [0.5, 0.6]}, key=KEY, progress=lambda at: seen.append(len(programs)))
    assert seen[2] == seen[1] > 0


@pytest.mark.slow
def test_a_step_that_decides_by_a_parameter_is_evaluated_as_it_is():
    def make(gain):
        return (lambda s, x: (0.5 if gain > 0.5 else 0.25) * s + x), jnp.zeros(2), INPUTS

    found = ps.sweep_parameters(make, {"gain": [0.4, 0.6]}, key=KEY)
    assert found.reason.tolist() == ["", ""]
    np.testing.assert_allclose(found.exponent.value, np.log([0.25, 0.5]), atol=1e-12)
    assert found.solved.all()


@pytest.mark.slow
def test_points_may_be_measured_by_others():
    with ThreadPoolExecutor(2) as pool:
        found = ps.sweep_parameters(linear, {"gain": [0.25, 0.5, 0.75]}, key=KEY, executor=pool)
    np.testing.assert_allclose(found.exponent.value, np.log([0.25, 0.5, 0.75]), atol=1e-12)


def test_a_worker_that_is_lost_is_the_reason_of_its_points():
    with ThreadPoolExecutor(1) as pool:
        pool.submit = lambda *_: Broken()
        found = ps.sweep_parameters(linear, {"gain": [0.25]}, key=KEY, executor=pool)
    assert found.reason[0] == "BrokenExecutor: lost"
    assert np.isnan(found.exponent.value).all()


class Broken(Future):
    def __init__(self):
        super().__init__()
        self.set_exception(BrokenExecutor("lost"))


def test_progress_is_a_line_for_every_point():
    told = []
    ps.sweep_parameters(linear, {"gain": [0.25, 0.5]}, key=KEY, progress=lambda at: told.append(str(at)))
    assert told[0] == "0 of 2 points known"
    assert told[1:] == [
        "1 of 2: gain = 0.25: exponent -1.386, 1 updates",
        "2 of 2: gain = 0.5: exponent -0.6931, 1 updates",
    ]


def test_the_record_is_json_and_what_vanishes_at_once_is_none():
    def make(gain):
        return (lambda s, x: jnp.where(gain > 0.5, 0.5, 0.0) * s), jnp.ones(2), None

    found = ps.sweep_parameters(make, {"gain": [0.4, 0.6]}, 50, key=KEY)
    assert np.isneginf(found.exponent.value[0])
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert record["exponent"]["value"][0] is None
    assert record["parameters"] == {"gain": [0.4, 0.6]}
    assert record["solved"] == [True, True]


@pytest.mark.parametrize(
    ("parameters", "options", "text"),
    [
        ([0.1], {}, "parameters: given list"),
        ({}, {}, "parameters: given 0, expected one or two"),
        ({"a": [1.0], "b": [1.0], "c": [1.0]}, {}, "parameters: given 3"),
        ({"gain": [0.2, 0.1]}, {}, r"parameters\['gain'\]: given values that do not increase"),
        ({"gain": [0.1, np.nan]}, {}, "not finite"),
        ({"gain": 0.5}, {}, "expected a line of one number or more"),
        ({"gain": []}, {}, "expected a line of one number or more"),
        ({"gain": ["x"]}, {}, "expected a line"),
        ({"a b": [0.1]}, {}, "a name that no argument can have"),
        ({"gain": [0.1]}, {"length": 0}, "length: given 0"),
        ({"gain": [0.1]}, {"length": 1.5}, "length: given 1.5"),
        ({"gain": [0.1]}, {"max_iterations": 0}, "max_iterations: given 0"),
        ({"gain": [0.1]}, {"budget": True}, "budget: given True"),
        ({"gain": [0.1]}, {"solver": ps.Sequential()}, "solver: given Sequential, expected one that iterates"),
        ({"gain": [0.1]}, {"criterion": 1e-3}, "criterion: given float"),
        ({"gain": [0.1]}, {"dt": -1.0}, "dt: given -1.0"),
        ({"gain": [0.1]}, {"key": 3}, "key: given int"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(parameters, options, text):
    def never(**_):
        raise AssertionError("called")

    with pytest.raises((TypeError, ValueError), match=text):
        ps.sweep_parameters(never, parameters, **{"key": KEY, **options})


def test_what_make_returns_is_checked():
    found = ps.sweep_parameters(lambda gain: (gain, 1), {"gain": [0.1]}, 10, key=KEY)
    assert "expected a tuple (step, init, xs)" in found.reason[0]
