"""Right-hand sides against stored numbers and against dysts where it is installed; its adapter against a double."""

import sys
import types
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from system_runs import run

from parascan import systems
from parascan.systems.data import FLOWS

# State and rate of change there, by the right-hand sides of dysts 0.96 with the parameters of systems.data.
REFERENCES = [
    ("abc", (0.251, -0.264, 1.281), (2.6251810737040295, 0.8461967231305612, 1.1089510248348775)),
    ("chua", (0.21, -1.071, 0.723), (-16.239600468, 2.004, 29.988)),
    ("chua", (-2.21, -1.071, 0.723), (-13.543107240000001, -0.41600000000000004, 29.988)),
    ("kawczynski_strizhak", (2.608, 1.894, -1.407), (0.28697354112000184, -11.840600000000002, 0.8030000000000002)),
    ("lorenz", (-2.531, -1.247, 0.083), (12.840000000000002, -69.41092700000002, 2.934823666666667)),
    ("nose_hoover", (-4.65, -0.438, -2.492), (-0.438, 5.741496000000001, 1.308156)),
    ("rossler", (-1.465, -1.089, -0.633), (1.722, -1.6828, 4.735445)),
    ("sprott_b", (0.823, 2.085, -0.257), (-0.535845, -1.262, -0.7159549999999999)),
    ("thomas", (2.733, -1.33, 0.703), (-14.767533779210448, 8.925593113803378, 2.6726322696525395)),
    ("vallis_el_nino", (1.807, 0.188, -1.487), (13.754999999999999, -2.8750090000000004, 2.147284)),
]

# The same at the initial conditions of dysts, those of its Aizawa flow for the ABC flow.
AT_THE_START = {
    "abc": (0.5050737060833942, 0.7061309750257707, 0.4126567049851001),
    "chua": (-0.1103601785675984, 0.45685562999999985, 3.18821272),
    "kawczynski_strizhak": (0.056572073100523035, -0.18639129999999915, 0.008538740000000017),
    "lorenz": (-52.515912, -58.0309057332336, 92.42364983070934),
    "nose_hoover": (0.24647527, 2.1706335543258573, 1.4392499412784272),
    "rossler": (-0.81884424, 6.60888146, 0.47790644308512786),
    "sprott_b": (-0.797443101818896, 0.20301499999999995, -1.50610959069224),
    "thomas": (2.950806099326325, -5.15756589210234, 2.1308821655764367),
    "vallis_el_nino": (23.35052616009431, 1.1362866284100093, 1.328431734212741),
}


@pytest.mark.parametrize(("name", "state", "rate"), REFERENCES)
def test_right_hand_side_is_that_of_dysts(name: str, state: Any, rate: Any, x64: None) -> None:
    field = systems.flow(name).step.field
    np.testing.assert_allclose(field(jnp.array(state)), rate, rtol=1e-13)


@pytest.mark.parametrize("name", AT_THE_START)
def test_flow_starts_where_dysts_starts(name: str, x64: None) -> None:
    system = systems.flow(name)
    np.testing.assert_allclose(system.step.field(system.initial_state), AT_THE_START[name], rtol=1e-12)


def test_references_cover_the_nine() -> None:
    assert {name for name, *_ in REFERENCES} == set(AT_THE_START) == set(FLOWS)


@pytest.mark.parametrize("name", FLOWS)
def test_step_is_forward_euler(name: str, x64: None) -> None:
    system = systems.flow(name, dt=0.003)
    start = system.initial_state
    np.testing.assert_allclose(system.step(start, None), start + 0.003 * system.step.field(start), rtol=1e-14)


def test_parameters_and_start_can_be_given() -> None:
    lorenz = systems.flow("lorenz", rho=0.5, initial_state=[1.0, 2.0, 3.0])
    np.testing.assert_allclose(lorenz.step.field(lorenz.initial_state), [10.0, 0.5 - 3.0 - 2.0, 2.0 - 8.0], rtol=1e-6)


class _Base:
    """The part of dysts' base class that a right-hand side may rely on."""

    params: dict[str, Any]
    dt = 0.001
    maximum_lyapunov_estimated = 0.1
    citation = "Nobody (1900)"

    def __init__(self) -> None:
        vars(self).update(self.params, param_list=[self.params[name] for name in sorted(self.params)])

    def rhs(self, X: Any, t: float) -> Any:
        return self._rhs(*X.T, t, *self.param_list)


class _Compiled:
    """What numba leaves of a function: a callable that keeps the Python function."""

    def __init__(self, py_func: Any) -> None:
        self.py_func = py_func

    def __call__(self, *arguments: Any) -> Any:
        assert not any(isinstance(each, jax.Array) for each in arguments)
        return self.py_func(*arguments)


SOURCE = """
import numpy as np

class DynSysDelay(Base):
    pass

class SineWell(Base):
    params = {"b": np.array(2.0), "a": np.array(0.5)}
    ic = np.array([0.1, 0.2])
    @staticmethod
    @staticmethod
    @compiled
    def _rhs(x, y, t, a, b):
        return np.sin(y) * a, -x * b

class Weighted(Base):
    params = {"w": np.array([1.0, 3.0])}
    ic = np.array([0.1, 0.2])
    @staticmethod
    def _weigh(x):
        return np.tanh(x)
    def rhs(self, X, t):
        return self.w[0] * self._weigh(X[0]), self.w[1] * self._weigh(X[1])

class Timed(Base):
    params = {}
    ic = np.array([0.1, 0.2])
    def rhs(self, X, t):
        return X[1], np.sin(t)

class Branching(SineWell):
    @staticmethod
    def _rhs(x, y, t, a, b):
        return (x, y) if x > 0 else (y, x)

class Late(DynSysDelay):
    params = {}
    ic = np.array([0.1])
"""


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A stand-in for ``dysts.flows`` written as dysts writes its flows."""
    module = types.ModuleType("dysts.flows")
    vars(module).update(Base=_Base, compiled=_Compiled)
    exec(SOURCE, vars(module))
    module.Base.__module__ = "dysts.base"
    monkeypatch.setitem(sys.modules, "dysts", types.ModuleType("dysts"))
    monkeypatch.setitem(sys.modules, "dysts.flows", module)
    return module


def test_flow_of_dysts_runs_on_jax(double: types.ModuleType, dtype: np.dtype) -> None:
    well = systems.get("sine_well", dtype=dtype, a=0.25)
    rate = jax.jit(lambda step, s: step.field(s))(well.step, well.initial_state)
    assert rate.dtype == dtype
    np.testing.assert_allclose(rate, [0.25 * np.sin(0.2), -0.2], rtol=1e-6)
    assert well.name == "SineWell"
    assert well.facts.exponent_per_time is None


def test_methods_of_a_flow_of_dysts_run_on_jax(double: types.ModuleType, x64: None) -> None:
    weighted = systems.flow("Weighted")
    np.testing.assert_allclose(weighted.step.field(weighted.initial_state), np.tanh([0.1, 0.2]) * [1, 3], rtol=1e-14)
    slopes = jax.jacfwd(weighted.step.field)(weighted.initial_state)
    np.testing.assert_allclose(jnp.diagonal(slopes), np.array([1, 3]) / np.cosh([0.1, 0.2]) ** 2, rtol=1e-14)


def test_dysts_itself_is_left_as_it_was(double: types.ModuleType) -> None:
    before = dict(vars(double.Weighted)), dict(vars(double))
    systems.flow("Weighted").step.field(jnp.ones(2))
    assert (dict(vars(double.Weighted)), dict(vars(double))) == before
    assert double.np is np


def test_a_flow_of_dysts_built_twice_is_one_function(double: types.ModuleType) -> None:
    first, second = (systems.flow("SineWell").step.field.right_hand_side for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Branching", "assigns in place or branches on the state, expected one that JAX can trace"),
        ("Timed", "whose rates depend on time itself, expected an autonomous flow"),
        ("Late", "a delay equation, expected an ordinary differential equation"),
        ("SineWel", "did you mean SineWell"),
    ],
)
def test_flows_that_cannot_run_are_refused(double: types.ModuleType, name: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        systems.flow(name)


def test_names_of_flows_are_the_nine_and_those_of_dysts_that_run(double: types.ModuleType) -> None:
    assert systems.flow_names() == (*FLOWS, "SineWell", "Weighted")


def test_names_of_flows_without_dysts_are_the_nine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dysts", None)
    monkeypatch.setitem(sys.modules, "dysts.flows", None)
    assert systems.flow_names() == tuple(FLOWS)


def test_without_dysts_its_flows_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dysts", None)
    monkeypatch.setitem(sys.modules, "dysts.flows", None)
    with pytest.raises(ImportError, match=r"name: given 'Halvorsen', expected one of abc.*'\.\[flows\]' in a clone"):
        systems.flow("Halvorsen")
    with pytest.raises(ValueError, match=r"name: given 'Halvorsen'.*'\.\[flows\]' in a clone"):
        systems.get("Halvorsen")


@pytest.fixture(scope="module")
def dysts_flows() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("dysts.flows")


@pytest.mark.parametrize("name", FLOWS)
def test_right_hand_side_agrees_with_dysts(dysts_flows: Any, name: str, x64: None) -> None:
    model = getattr(dysts_flows, FLOWS[name].dysts_name)()
    model.param_list = [FLOWS[name].parameters[key] for key in sorted(FLOWS[name].parameters)]
    field = systems.flow(name).step.field
    for state in np.random.default_rng(0).normal(size=(20, 3)):
        np.testing.assert_allclose(field(jnp.array(state)), model.rhs(state, 0.0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", FLOWS)
def test_data_are_those_of_dysts_but_for_two_departures(dysts_flows: Any, name: str) -> None:
    model = getattr(dysts_flows, FLOWS[name].dysts_name)()
    departs = {key for key, value in FLOWS[name].parameters.items() if float(model.params[key]) != value}
    assert departs == ({"beta"} if name == "lorenz" else set())
    assert (tuple(model.ic) == FLOWS[name].initial_state) == (name != "abc")
    assert tuple(dysts_flows.Aizawa().ic) == FLOWS["abc"].initial_state


@pytest.mark.parametrize("name", ["Halvorsen", "double_pendulum", "BeerRNN", "HyperYan", "CellCycle"])
def test_any_flow_of_dysts_runs(dysts_flows: Any, name: str, dtype: np.dtype) -> None:
    system = systems.get(name, dtype=dtype, dt=1e-4)
    states = run(system, 50)
    assert states.dtype == dtype
    model = getattr(dysts_flows, system.name)()
    expected = np.array(model.ic, float)
    for _ in range(50):
        expected = expected + 1e-4 * np.array(model.rhs(expected, 0.0))
    np.testing.assert_allclose(states[-1], expected, rtol=1e-9 if dtype == np.float64 else 1e-4, atol=1e-5)


def test_nearly_all_flows_of_dysts_trace(dysts_flows: Any) -> None:
    classes = [each for each in vars(dysts_flows).values() if isinstance(each, type)]
    ordinary = [
        each.__name__
        for each in classes
        if each.__module__ == "dysts.flows" and not issubclass(each, dysts_flows.DynSysDelay)
    ]

    def refused(name: str) -> bool:
        try:
            systems.flow(name)
        except ValueError as error:
            return str(error).startswith("name: given")
        return False

    assert {name for name in ordinary if refused(name)} == {"BelousovZhabotinsky", "Lorenz96", "Torus"}
    assert len(ordinary) == 129
