"""Observers: exact from a perfect start, synchronizing from a wrong one, and configured as published."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from system_runs import run

from parascan import systems
from parascan.systems import System
from parascan.systems import nine_flows as table1

NINE = systems.names("flow")


def perfectly_started(name: str) -> System:
    truth = systems.flow(name)
    return systems.observer(
        truth,
        substituted=table1.ROWS[name].substituted,
        measurement=table1.MEASUREMENT,
        initial_state=truth.initial_state,
    )


@pytest.mark.parametrize("name", NINE)
def test_a_perfect_start_stays_on_the_truth_exactly(name: str, x64: None) -> None:
    """Operation by operation: compiled, a multiplication fused with an addition may round once less."""
    truth, follower = systems.flow(name), perfectly_started(name)
    state = other = truth.initial_state
    for _ in range(20):
        other = follower.step(other, state)
        state = truth.step(state, None)
        np.testing.assert_array_equal(other, state)


@pytest.mark.parametrize("name", NINE)
def test_a_perfect_start_stays_on_the_truth_when_compiled(name: str, x64: None) -> None:
    follower = perfectly_started(name)
    truth = follower.inputs(3001)
    assert truth is not None
    np.testing.assert_allclose(run(follower, 3000), truth[1:], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", NINE)
def test_a_wrong_start_synchronizes(name: str, x64: None) -> None:
    """At the published exponent nine digits of the distance go in half of these steps."""
    follower = systems.published_observer(name)
    length = int(2 * np.log(1e9) / abs(table1.ROWS[name].observer.exponent) / table1.DT)
    truth = follower.inputs(length + 1)
    assert truth is not None
    first = jnp.linalg.norm(follower.initial_state - truth[0])
    assert float(first) > 0.1
    assert float(jnp.linalg.norm(run(follower, length)[-1] - truth[-1])) < 1e-9 * float(first)


def test_substitution_alone_synchronizes_lorenz(x64: None) -> None:
    truth = systems.flow("lorenz")
    follower = systems.observer(truth, substituted=(1,), key=jax.random.key(0))
    assert float(jnp.abs(run(follower, 3000) - run(truth, 3000))[-1].max()) < 1e-12


def test_feedback_alone_synchronizes_lorenz(x64: None) -> None:
    truth = systems.flow("lorenz")
    follower = systems.observer(
        truth, measurement=[[0.0, 1.0, 0.0]], gain=[[0.0], [20.0], [0.0]], initial_state=[0.0, 0.0, 0.0]
    )
    assert float(jnp.abs(run(follower, 3000) - run(truth, 3000))[-1].max()) < 1e-10


def test_step_is_the_stated_equation(x64: None) -> None:
    truth = systems.flow("lorenz")
    C, K = np.array([[1.0, 2.0, 0.0], [0.5, 0.0, 1.0]]), np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
    follower = systems.observer(truth, substituted=(2, 0), measurement=C, gain=K, initial_state=np.zeros(3))
    z, x = np.array([0.3, -1.0, 2.0]), np.array([1.5, 0.7, -0.4])
    w = np.array([1.5, -1.0, -0.4])
    rate = np.array(truth.step.field(jnp.array(w))) + K @ (C @ (x - w))
    np.testing.assert_allclose(follower.step(jnp.array(z), jnp.array(x)), w + 0.01 * rate, rtol=1e-14)


def test_gain_defaults_to_the_transpose_of_the_measurement() -> None:
    follower = systems.observer(systems.flow("lorenz"), measurement=[[1.0, 2.0, 3.0]], key=jax.random.key(0))
    np.testing.assert_array_equal(follower.step.gain, [[1.0], [2.0], [3.0]])


def test_inputs_are_the_states_before_each_step(x64: None) -> None:
    truth, follower = systems.flow("rossler"), systems.published_observer("rossler")
    inputs = follower.inputs(5)
    np.testing.assert_array_equal(inputs[0], truth.initial_state)
    np.testing.assert_allclose(inputs[1:], run(truth, 4), rtol=1e-15)


def test_key_draws_the_start_around_that_of_the_flow() -> None:
    truth = systems.flow("thomas")
    follower = systems.observer(truth, substituted=(1,), key=jax.random.key(7))
    np.testing.assert_allclose(
        follower.initial_state - truth.initial_state, jax.random.normal(jax.random.key(7), (3,)), rtol=1e-5
    )


def test_published_numbers_are_the_published_draws(x64: None) -> None:
    first, _, third = jax.random.split(jax.random.PRNGKey(42), 6)[:3]
    np.testing.assert_allclose(jax.random.normal(first, (1, 3)), table1.MEASUREMENT, rtol=1e-14)
    np.testing.assert_array_equal(table1.guess(50), jax.random.normal(third, (50, 3)))
    order = ["rossler", "lorenz", "thomas", "abc", "sprott_b", "kawczynski_strizhak", "vallis_el_nino", "chua"]
    for name, key in zip([*order, "nose_hoover"], jax.random.split(jax.random.PRNGKey(0), 9), strict=True):
        np.testing.assert_allclose(jax.random.normal(key, (3,)), table1.ROWS[name].offset, rtol=1e-14)


LORENZ = {"initial_state": np.zeros(3)}
REFUSALS: list[tuple[dict[str, Any], type[Exception], str]] = [
    (LORENZ, ValueError, "substituted, measurement: given neither"),
    ({"substituted": (1,)}, ValueError, "initial_state, key: given neither"),
    ({"substituted": (1,), "key": jax.random.key, **LORENZ}, ValueError, "initial_state, key: given both"),
    ({"substituted": (3,), **LORENZ}, ValueError, r"substituted: given \(3,\), expected distinct indices below 3"),
    ({"substituted": (1, 1), **LORENZ}, ValueError, r"substituted: given \(1, 1\), expected distinct indices"),
    ({"substituted": (-1,), **LORENZ}, ValueError, "substituted: given -1, expected 0 or more"),
    ({"substituted": ("y",), **LORENZ}, TypeError, "substituted: given 'y', expected an integer"),
    ({"substituted": (1,), "gain": [[1.0]], **LORENZ}, ValueError, "gain: given without measurement"),
    ({"measurement": [1.0, 0.0, 0.0], **LORENZ}, ValueError, r"measurement: given shape \[3\], expected \[M, 3\]"),
    (
        {"measurement": np.eye(3)[:1], "gain": [[1.0]], **LORENZ},
        ValueError,
        r"gain: given shape \[1, 1\], expected \[3, 1\]",
    ),
    ({"substituted": (1,), "initial_state": [0.0]}, ValueError, r"initial_state: given shape \[1\], expected \[3\]"),
]


@pytest.mark.parametrize(("arguments", "error", "text"), REFUSALS)
def test_refusals_name_argument_given_and_expected(
    arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        systems.observer(systems.flow("lorenz"), **arguments)


@pytest.mark.parametrize("other", [lambda: systems.get("henon"), lambda: "lorenz"])
def test_only_flows_are_observed(other: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match=r"flow_system: given .*, expected a flow from systems.flow"):
        systems.observer(other(), substituted=(0,), key=jax.random.key(0))
