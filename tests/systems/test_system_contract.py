"""What every registered system keeps, checked for all of them by name."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from system_runs import build, exponent, run

from combinations import one_of_each, pairwise, product
from parascan import systems

NAMES = systems.names()
AUTONOMOUS = (*systems.names("map"), *systems.names("flow"))
DRIVEN = tuple(name for name in NAMES if name not in AUTONOMOUS)
INPUTS = [(7, None, "float32"), (0, None, "float64"), (7, "float16", "float64")]


@pytest.mark.parametrize(("name", "dtype"), one_of_each(product(NAMES, ["float32", "float64"])), indirect=["dtype"])
def test_200_steps_stay_finite_and_keep_shape_and_dtype(name: str, dtype: np.dtype) -> None:
    system = build(name, dtype=dtype)
    states = run(system, 200)
    assert states.shape == (200, system.size)
    assert states.dtype == dtype
    assert bool(jnp.isfinite(states).all())


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_an_array_of_the_dtype(name: str, dtype: np.dtype) -> None:
    leaves = jax.tree.leaves(build(name, dtype=dtype))
    assert all(isinstance(leaf, jax.Array) and leaf.dtype == dtype for leaf in leaves)


@pytest.mark.parametrize("name", AUTONOMOUS)
def test_autonomous_systems_have_no_inputs(name: str) -> None:
    assert build(name).inputs(7) is None


@pytest.mark.parametrize(
    ("name", "length", "asked", "dtype"),
    pairwise([(name, *case) for name in DRIVEN for case in INPUTS]),
    indirect=["dtype"],
)
def test_inputs_are_one_row_a_step(name: str, length: int, asked: Any, dtype: np.dtype) -> None:
    system = build(name, dtype=dtype)
    xs = system.inputs(length, key=jax.random.key(0), dtype=asked)
    assert xs is not None
    assert xs.shape == (length, system.size)
    assert xs.dtype == (asked or dtype)


@pytest.mark.parametrize("name", NAMES)
def test_other_parameters_meet_the_compiled_step(name: str) -> None:
    system, traces = build(name), []

    @jax.jit
    def advance(step: Any, state: Any, x: Any) -> Any:
        traces.append(name)
        return step(state, x)

    x = None if name in AUTONOMOUS else jnp.ones(system.size)
    other = jax.tree.map(lambda leaf: 1.1 * leaf, system.step)
    first, second = (advance(step, system.initial_state, x) for step in (system.step, other))
    assert len(traces) == 1
    rebuilt = build(name).step
    np.testing.assert_array_equal(advance(rebuilt, system.initial_state, x), first)
    assert len(traces) == 1
    if jax.tree.leaves(system.step):
        assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", NAMES)
def test_step_maps_over_a_batch(name: str) -> None:
    system = build(name)
    spread = jax.random.normal(jax.random.key(5), (4, system.size))
    batch = system.initial_state + 0.01 * spread
    x = None if name in AUTONOMOUS else 0.1 * spread[0]
    both = jax.jit(lambda batch: (jax.vmap(lambda s: system.step(s, x))(batch), [system.step(s, x) for s in batch]))
    together, alone = both(batch)
    alone = np.stack(alone)
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_metadata_says_what_the_system_is(name: str) -> None:
    system = build(name)
    assert system.name == name
    assert "=" in system.equations
    assert "\n" not in system.equations
    assert any(digit.isdigit() for digit in system.source)
    assert system.units
    assert (system.dt is None) == (name in ("tanh_rnn", "henon", "logistic"))


@pytest.mark.parametrize("name", NAMES)
def test_a_system_is_frozen(name: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        build(name).name = "other"


@pytest.mark.parametrize(("name", "length", "tolerance"), [("henon", 20_000, 0.01), ("logistic", 20_000, 0.01)])
def test_maps_have_their_textbook_exponents(name: str, length: int, tolerance: float, x64: None) -> None:
    system = build(name)
    fact = system.facts.exponent_per_step
    assert fact is not None
    assert abs(exponent(system, length) - fact.value) < tolerance


@pytest.mark.parametrize("name", [*systems.names("flow"), *systems.names("observer")])
def test_flows_and_observers_have_the_exponents_of_table_1(name: str, x64: None) -> None:
    system, row = build(name), systems.table1.ROWS[name.removesuffix("_observer")]
    published = row.observer if name.endswith("_observer") else row.flow
    assert system.facts.exponent_per_time == published.fact
    assert system.dt is not None
    measured = exponent(system, systems.table1.LENGTH) / system.dt
    # What another machine may round differently moves a mean along a chaotic orbit by the row's spread.
    assert abs(measured - published.exponent) <= max(0.02, 0.05 * abs(published.exponent), 3 * published.spread)


def test_langevin_has_its_exponent(x64: None) -> None:
    system = build("two_well_langevin")
    fact = system.facts.exponent_per_time
    assert fact is not None
    # Runs of 10 000 steps spread by 0.09, so one of 100 000 by 0.03: four of those.
    assert abs(exponent(system, 100_000) / system.dt - fact.value) < 0.12


@pytest.mark.parametrize(("gain", "sign"), [(0.8, -1), (2.0, 1)])
def test_gain_decides_whether_the_network_is_predictable(gain: float, sign: int, x64: None) -> None:
    system = systems.tanh_rnn(gain=gain, key=jax.random.key(0))
    assert sign * exponent(system, 1000) > 0.02


def test_jacobian_bound_holds_on_the_logistic_orbit(x64: None) -> None:
    system = build("logistic")
    slopes = jax.vmap(jax.jacfwd(system.step))(run(system, 2000))
    bound = system.facts.jacobian_bound
    assert bound is not None
    assert 0.9 * bound.value < float(jnp.abs(slopes).max()) <= bound.value


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("logistic", {"r": 3.7}),
        ("henon", {"a": 1.3}),
        ("lorenz", {"rho": 20.0}),
        ("lorenz", {"dt": 0.005}),
        ("lorenz_observer", {"dt": 0.005}),
        ("two_well_langevin", {"step_size": 0.02}),
    ],
)
def test_facts_hold_for_the_stated_parameters_only(name: str, changed: dict[str, float]) -> None:
    facts = build(name, **changed).facts
    assert facts.exponent_per_step is None
    assert facts.exponent_per_time is None


def test_tree_at_changes_a_parameter() -> None:
    henon = build("henon")
    flat = eqx.tree_at(lambda system: system.step.a, henon, jnp.zeros(()))
    assert float(flat.step(flat.initial_state, None)[0]) == pytest.approx(1 + 0.03536533)
