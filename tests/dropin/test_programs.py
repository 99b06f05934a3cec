"""Compiled programs: used again where nothing has changed, never for another step, and freed with their function."""

import functools
import gc
import weakref

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from replaced_parts import NEW, OLD, Data, closing_over, of_closures, of_methods

import parascan as ps
from parascan.programs.closure import Program

INIT, XS = jnp.ones(()), jnp.zeros(5)


METHODS = {name: case for name, *case in of_methods()}
CLOSURES = {name: case for name, *case in of_closures()}


def answer(step, **options):
    return float(ps.scan(step, INIT, XS, **options)[0])


@pytest.mark.parametrize("name", METHODS)
def test_an_attribute_that_is_replaced_is_noticed(name):
    step, change = METHODS[name]
    assert [answer(step()), answer(step())] == [OLD**5] * 2
    change()
    assert answer(step()) == pytest.approx(NEW**5)


@pytest.mark.parametrize("name", CLOSURES)
def test_what_a_function_closes_over_is_noticed(name):
    step, change = CLOSURES[name]
    assert [answer(step), answer(step)] == [OLD**5] * 2
    change()
    assert answer(step) == pytest.approx(NEW**5)


GLOBAL = OLD


def test_a_global_that_is_set_is_noticed(monkeypatch):
    step = lambda carry, x: (carry * GLOBAL + x, carry)  # noqa: E731
    assert answer(step) == OLD**5
    monkeypatch.setitem(globals(), "GLOBAL", NEW)
    assert answer(step) == pytest.approx(NEW**5)


@pytest.mark.parametrize("solver", [None, ps.deer(), ps.Sequential()])
def test_rollout_and_solvers_notice_as_well(solver):
    data = Data()
    run = lambda: float(ps.rollout(data.step, INIT, XS, solver=solver).carry)  # noqa: E731
    assert run() == pytest.approx(OLD**5)
    data.weight = NEW
    assert run() == pytest.approx(NEW**5, rel=0.01)


def test_what_traces_cannot_tell_apart_is_told_apart():
    """Equal numbers of other types, and a zero of the other sign."""
    sides = [closing_over(value, lambda m: jnp.float32(m) + 1) for value in (0.0, -0.0)]
    same = functools.partial(lambda flag, c, x: (c * (3 if flag is True else 2), c))
    assert answer(functools.partial(same, 1)) == 2**5
    assert answer(functools.partial(same, True)) == 3**5
    assert answer(functools.partial(same, 1.0)) == 2**5
    assert answer(sides[0]) == answer(sides[1]) == 1


def test_settings_of_jax_that_a_trace_depends_on_are_part_of_the_program():
    seen = []

    def step(carry, x):
        seen.append(str(jax.make_jaxpr(jnp.dot)(jnp.eye(2), jnp.eye(2))))
        return carry, x

    for _ in range(2):
        answer(step)
        with jax.default_matmul_precision("highest"):
            answer(step)
    assert "HIGHEST" in seen[-1]
    assert "HIGHEST" not in seen[0]


@pytest.mark.parametrize(
    ("solver", "form"), [(None, "closure"), (ps.deer(), "module"), (ps.Sequential(), "partial")], ids=str
)
def test_programs_of_fresh_functions_are_freed_with_them(solver, form):
    class Cell(eqx.Module):
        function: object
        weight: jax.Array

        def __call__(self, carry, x):
            return self.function(self.weight, carry, x)

    gc.collect()
    before = sum(isinstance(each, Program) for each in gc.get_objects())
    functions = []
    for count in range(3):
        weight = jnp.full(3, count / 10)
        step = lambda w, c, x: (w * c + x, c)  # noqa: E731
        made = {
            "closure": lambda c, x, weight=weight, step=step: step(weight, c, x),
            "partial": functools.partial(step, weight),
            "module": Cell(step, weight),
        }[form]
        ps.scan(made, jnp.ones(3), jnp.ones((4, 3)), solver=solver)
        functions.append(weakref.ref(step))
    del made, step
    gc.collect()
    assert [each() for each in functions] == [None] * 3
    assert sum(isinstance(each, Program) for each in gc.get_objects()) == before


def test_nothing_is_traced_again_where_nothing_changed():
    traces = []

    def helper(carry, weights):
        traces.append(None)
        return carry * weights["w"][0]

    weights = {"w": (jnp.float32(OLD), np.ones(3))}
    steps = {
        "closure": lambda c, x: (helper(c, weights) + x, None),
        "partial": functools.partial(lambda w, c, x: (helper(c, w) + x, None), weights),
        "compiled": jax.jit(lambda c, x: (helper(c, weights) + x, None)),
    }
    for step in steps.values():
        answer(step)
        count = len(traces)
        answer(step)
        assert len(traces) == count


def test_a_step_that_decides_by_values_of_its_own_arrays_sees_them():
    class Decides(eqx.Module):
        rate: jax.Array

        def step(self, carry, x):
            return (carry * self.rate if float(self.rate) > 0.3 else carry) + x, carry

    for rate in (OLD, NEW):
        step = Decides(jnp.float32(rate)).step
        np.testing.assert_allclose(
            ps.scan(step, INIT, XS)[0], jax.lax.scan(functools.partial(lambda s, c, x: s(c, x), step), INIT, XS)[0]
        )


class Weights(eqx.Module):
    listed: list
    array: np.ndarray
    fixed: object = eqx.field(static=True)

    def step(self, carry, x):
        return jnp.tanh(self.array @ carry * self.listed[0] + jnp.asarray(self.fixed) + x), carry


@pytest.mark.parametrize("solver", [None, ps.deer()])
@pytest.mark.parametrize("fixed", [[0.1, 0.2], (0.1, 0.2), 0.3], ids=["list", "tuple", "float"])
def test_weights_of_every_kind(solver, fixed):
    step = Weights([0.5, 2], np.eye(2, dtype=np.float32) / 2, fixed).step
    init, xs = jnp.zeros(2), jnp.ones((6, 2))
    expected = jax.lax.scan(lambda c, x: step(c, x), init, xs)[1]
    np.testing.assert_allclose(ps.scan(step, init, xs, solver=solver)[1], expected, rtol=1e-5)
