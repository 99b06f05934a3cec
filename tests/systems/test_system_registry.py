"""Names, refusals and laziness of the registry, and the numbers that the builders draw."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from parascan import systems


@pytest.mark.slow
def test_import_builds_nothing() -> None:
    code = "import jax, parascan.systems; print(len(jax.live_arrays()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0"]


def test_names_list_the_nine_flows_and_their_observers() -> None:
    assert len(systems.names("flow")) == 9
    assert systems.names("observer") == tuple(f"{name}_observer" for name in systems.names("flow"))
    assert set(systems.names()) > {"tanh_rnn", "two_well_langevin", "henon", "logistic"}


@pytest.mark.parametrize(("given", "own"), [("SprottB", "sprott_b"), ("ArnoldBeltramiChildress", "abc")])
def test_spelling_of_dysts_is_accepted(given: str, own: str) -> None:
    assert systems.get(given).name == own
    assert systems.flow(given).name == own


def test_entry_tells_what_it_requires() -> None:
    assert systems.entry("tanh_rnn").required == ("gain", "key")
    assert systems.entry("lorenz").required == ()
    assert systems.entry("lorenz").accepted == ("dt", "dtype", "initial_state", "**parameters")


REFUSALS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: systems.get("lorentz"), ValueError, r"name: given 'lorentz'; did you mean lorenz"),
    (lambda: systems.names("maps"), ValueError, r"family: given 'maps', expected one of network, noise, map"),
    (lambda: systems.get("tanh_rnn"), TypeError, r"expected gain, size, key, dtype; tanh_rnn: missing .* 'gain'"),
    (lambda: systems.get("henon", c=1.0), TypeError, r"given c, expected a, b, initial_state, dtype"),
    (
        lambda: systems.get("lorenz", roh=1.0),
        TypeError,
        r"roh: given, but no parameter of lorenz; expected one of beta",
    ),
    (lambda: systems.get("sprott_b", a=1.0), TypeError, r"a: given, .* it has no parameters"),
    (lambda: systems.get("lorenz", rho=[1.0]), ValueError, r"rho: given shape \[1\], expected \[\]"),
    (lambda: systems.get("lorenz", dt=0.0), ValueError, r"dt: given 0.0, expected a positive finite number"),
    (lambda: systems.get("lorenz", dtype=int), TypeError, r"dtype: given int.*, expected a floating dtype"),
    (lambda: systems.get("lorenz", dtype="flot"), TypeError, r"dtype: given 'flot', expected a floating dtype"),
    (lambda: systems.get("lorenz", dtype="float64"), ValueError, r"dtype: given float64 with 64-bit types disabled"),
    (
        lambda: systems.get("lorenz", initial_state=[1.0]),
        ValueError,
        r"initial_state: given shape \[1\], expected \[3\]",
    ),
    (lambda: systems.get("lorenz").inputs(-1), ValueError, r"length: given -1, expected 0 or more"),
    (lambda: systems.get("lorenz").inputs(2.5), TypeError, r"length: given 2.5, expected an integer"),
    (
        lambda: systems.tanh_rnn(gain=1.0, size=0, key=jax.random.key(0)),
        ValueError,
        r"size: given 0, expected 1 or more",
    ),
    (lambda: systems.get("two_well_langevin").inputs(3), ValueError, r"key: given None, expected a random key"),
    (lambda: systems.two_well_langevin(weights=(1.0,)), ValueError, r"given shapes \[1\], \[2, 2\], \[2, 2\]"),
    (lambda: systems.two_well_langevin(step_size=float("inf")), ValueError, r"step_size: given inf"),
    (lambda: systems.published_observer("henon"), ValueError, r"name: given 'henon'; .*expected one of abc, chua"),
]


@pytest.mark.parametrize(("call", "error", "text"), REFUSALS)
def test_refusals_name_argument_given_and_expected(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_unknown_name_is_refused_with_all_names_when_none_is_close() -> None:
    with pytest.raises(ValueError, match=r"expected one of abc, abc_observer, .*, vallis_el_nino_observer"):
        systems.get("qqqq")


def test_network_draws_the_numbers_of_the_published_runs(x64: None) -> None:
    """Seed 0, gain 1.5, first entries: drawn independently of the builder, key by key."""
    keys = jax.random.split(jax.random.PRNGKey(0), 7)
    rnn = systems.tanh_rnn(gain=1.5, key=jax.random.PRNGKey(0))
    weights = np.array(jax.random.normal(keys[4], (100, 100)) * 1.5 / 10)
    np.fill_diagonal(weights, 0.0)
    amplitude, frequency, phase = (
        jax.random.uniform(key, (100,), minval=low, maxval=high)
        for key, low, high in zip(keys, (0, 0.5, 0), (0.2, 3.0, 2 * np.pi), strict=False)
    )
    times = jnp.arange(20)[:, None]
    np.testing.assert_allclose(rnn.step.weights, weights, rtol=1e-15)
    np.testing.assert_allclose(rnn.inputs(20), amplitude * jnp.sin(frequency * times + phase), rtol=0, atol=1e-13)
    np.testing.assert_array_equal(rnn.initial_state, jax.random.uniform(keys[3], (100,), minval=-1, maxval=1))


def test_langevin_follows_the_gradient_of_its_density(x64: None) -> None:
    langevin = systems.two_well_langevin()
    state, noise = jnp.array([0.3, -0.7]), jnp.array([0.5, 2.0])

    def log_density(s: jax.Array) -> jax.Array:
        def normal(mean: float, spread: float, at: jax.Array) -> jax.Array:
            return jnp.exp(-((at - mean) ** 2) / (2 * spread)) / jnp.sqrt(spread)

        left = 0.49 * normal(-1.4, 0.45, s[0]) * normal(0.0, 0.45, s[1])
        right = 0.51 * normal(1.6, 0.54, s[0]) * normal(0.0, 0.45, s[1])
        return jnp.log(left + right)

    expected = state + 0.01 * jax.grad(log_density)(state) + jnp.sqrt(0.02) * noise
    np.testing.assert_allclose(langevin.step(state, noise), expected, rtol=1e-14)
