"""Programs that run once are compiled quickly where JAX allows it and where it is worth it, with the same answer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from parascan.programs import quick_compile
from parascan.programs.compile_cache import ProgramCache


def states(step, init, xs):
    """The states of a recurrence."""
    return jax.lax.scan(lambda s, x: (step(s, x),) * 2, init, xs)[1]


def halve(s, x):
    """A step that forgets."""
    return jnp.tanh(0.5 * s + x)


INIT, XS = jnp.ones(3), jnp.linspace(-1, 1, 30).reshape(10, 3)


def of_scalar(programs):
    """A function of a number, which a program is part of."""
    return lambda factor: jnp.sum(programs(halve, INIT, factor * XS) ** 2)


CALLS = {
    "eager": lambda f: f(1.5),
    "jit": lambda f: jax.jit(f)(1.5),
    "jit of constants": lambda f: jax.jit(lambda: f(1.5))(),
    "vmap": lambda f: jax.vmap(f)(jnp.array([1.5, 2.0])),
    "grad": lambda f: jax.grad(f)(1.5),
    "grad of jit": lambda f: jax.grad(jax.jit(f))(1.5),
    "forward": lambda f: jax.jvp(f, (1.5,), (1.0,)),
    "scan": lambda f: jax.lax.scan(lambda c, _: (c + f(c), None), 0.5, None, 3)[0],
    "shape": lambda f: jnp.zeros(jax.eval_shape(f, 1.5).shape),
}


@pytest.mark.parametrize("call", CALLS)
def test_the_answer_is_that_of_the_optimized_program_however_it_is_called(call):
    quick, optimized = (CALLS[call](of_scalar(ProgramCache(states, once=once))) for once in (True, False))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), quick, optimized)


@pytest.fixture
def refused(monkeypatch):
    """Options that XLA refuses, so that whatever is compiled with them fails."""
    monkeypatch.setattr(quick_compile, "_known_options", lambda: {"xla_no_such_option": True})


@pytest.mark.usefixtures("refused")
def test_an_eager_call_of_a_small_program_is_compiled_with_the_options():
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_no_such_option"):
        ProgramCache(states, once=True)(halve, INIT, XS)


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("call", ["jit", "jit of constants", "grad", "vmap", "scan"])
def test_what_is_part_of_another_program_is_compiled_as_that_one(call):
    assert np.all(np.isfinite(CALLS[call](of_scalar(ProgramCache(states, once=True)))))


@pytest.mark.usefixtures("refused")
def test_programs_of_much_work_those_of_accelerators_and_those_of_many_calls_are_optimized(monkeypatch):
    ProgramCache(states)(halve, INIT, XS)
    with monkeypatch.context() as patched:
        patched.setattr(quick_compile, "platform_of", lambda: "gpu")
        ProgramCache(states, once=True)(halve, INIT, XS)
    monkeypatch.setattr(quick_compile, "MOST_OPERATIONS", 100.0)
    ProgramCache(states, once=True)(halve, INIT, XS)


def test_options_that_this_version_does_not_know_are_left_out(monkeypatch):
    """Names of options come and go with versions of XLA, and a diagnosis must not end with them."""
    monkeypatch.setattr(quick_compile, "OPTIONS", {**quick_compile.OPTIONS, "xla_no_such_option": True})
    known = quick_compile._known_options.__wrapped__()
    assert known
    assert "xla_no_such_option" not in known


@pytest.mark.usefixtures("refused")
def test_a_diagnosis_is_compiled_quickly():
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_no_such_option"):
        ps.diagnose(halve, INIT, XS, key=jax.random.key(0))


def test_a_diagnosis_within_a_traced_function_is_refused_in_words():
    with pytest.raises(TypeError, match="traced"):
        jax.jit(lambda: ps.diagnose(halve, INIT, XS, key=jax.random.key(0)).exponent.value)()
