"""Every wrong argument is refused before compilation, with its name, what was given and what was expected."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import parascan as ps


def step(state, x):
    return 0.5 * state + x


GOOD = {"step": step, "init": jnp.zeros(3), "xs": jnp.ones((5, 3))}

WRONG = {
    "step no callable": ({"step": 3}, TypeError, ["step", "int", "callable"]),
    "step wrong structure": ({"step": lambda s, x: {"s": s}}, TypeError, ["step", "float32[3]", "{s: float32[3]}"]),
    "step wrong shape": ({"step": lambda s, x: s[:2]}, ValueError, ["step", "(3,)", "(2,)"]),
    "step wrong dtype": ({"step": lambda s, x: s.astype(jnp.float16)}, TypeError, ["step", "float32", "float16"]),
    "init no array": ({"init": "zero"}, TypeError, ["init", "str", "array"]),
    "init NaN": (
        {"init": jnp.asarray([0.0, np.nan, 1.0]), "solver": ps.deer()},
        ValueError,
        ["init", "NaN", "1 of 3", "solver=None", "Sequential()"],
    ),
    "init NaN in leaf": (
        {"init": {"a": jnp.asarray([np.nan])}, "step": lambda s, x: s, "solver": ps.quasi_deer()},
        ValueError,
        ["init['a']", "NaN"],
    ),
    "xs no array": ({"xs": object()}, TypeError, ["xs", "object", "array"]),
    "xs scalar": ({"xs": 1.0}, ValueError, ["xs", "scalar", "leading axis"]),
    "xs lengths disagree": (
        {"xs": {"a": jnp.ones((5, 3)), "b": jnp.ones(4)}, "step": lambda s, x: s},
        ValueError,
        ["xs['a'] says 5", "xs['b'] says 4"],
    ),
    "length disagrees": ({"length": 6}, ValueError, ["length says 6", "xs says 5"]),
    "length missing": ({"xs": None, "step": lambda s, _: s}, ValueError, ["length", "None"]),
    "length negative": ({"xs": None, "length": -1}, ValueError, ["length", "-1", "zero or more"]),
    "length no integer": ({"length": 5.0}, TypeError, ["length", "5.0", "integer"]),
    "solver class": ({"solver": ps.Newton}, TypeError, ["solver", "Newton", "ps.deer()"]),
    "solver nickname not called": ({"solver": ps.deer}, TypeError, ["solver", "deer", "ps.deer()"]),
    "solver text": ({"solver": "deer"}, TypeError, ["solver", "str"]),
    "criterion number": ({"criterion": 1e-6}, TypeError, ["criterion", "float", "ps.StateError()"]),
    "adjoint text": ({"adjoint": "implicit"}, TypeError, ["adjoint", "str", "ps.Implicit()"]),
    "max_iterations negative": ({"max_iterations": -1}, ValueError, ["max_iterations", "-1"]),
    "max_iterations real": ({"max_iterations": 2.5}, TypeError, ["max_iterations", "2.5", "integer"]),
    "unrolled without budget": ({"adjoint": ps.Unrolled()}, ValueError, ["max_iterations", "None", "Unrolled"]),
    "guess shape": ({"guess": jnp.ones((4, 3))}, ValueError, ["guess", "float32[4, 3]", "float32[5, 3]"]),
    "guess structure": ({"guess": {"a": jnp.ones((5, 3))}}, ValueError, ["guess", "float32[5, 3]"]),
    "guess reset": (
        {"guess": ps.guesses.Given(jnp.ones((5, 3)), reset=jnp.ones((5, 2)))},
        ValueError,
        ["guess.reset", "float32[5, 2]", "float32[5, 3]"],
    ),
    "nothing to iterate on": (
        {"init": jnp.asarray(0), "xs": jnp.arange(5), "step": lambda s, x: s + x},
        ValueError,
        ["init", "floating", "Sequential()"],
    ),
    "integer depends on floating": (
        {"init": (jnp.zeros(3), jnp.asarray(0)), "step": lambda c, x: (c[0] + x, c[1] + (c[0].sum() > 0))},
        ValueError,
        ["init[1]", "depends on floating", "Sequential()"],
    ),
    "integer depends on floating through control flow": (
        {
            "init": {"count": jnp.asarray(0), "state": jnp.zeros(3)},
            "step": lambda c, x: {
                "state": c["state"] + x,
                "count": jax.lax.cond(c["state"][0] > 1, lambda n: n + 1, lambda n: n, c["count"]),
            },
        },
        ValueError,
        ["init['count']", "depends on floating"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("jitted", [False, True])
def test_rollout_refuses(name, jitted):
    changes, error, words = WRONG[name]
    arguments = {**GOOD, "solver": ps.deer(), **changes}
    if jitted and ("NaN" in name or "no array" in name):
        pytest.skip("values are not known under jit")

    def run(**arrays):
        return ps.rollout(**{**arguments, **arrays}).carry

    with pytest.raises(error) as caught:
        jax.jit(run)() if jitted else run()
    for word in words:
        assert word in str(caught.value)


CONSTRUCTORS = {
    "rtol negative": (lambda: ps.StateError(rtol=-1.0), ValueError, ["rtol", "-1.0"]),
    "atol NaN": (lambda: ps.StateError(atol=float("nan")), ValueError, ["atol", "nan"]),
    "both zero": (lambda: ps.StateError(rtol=0.0, atol=0.0), ValueError, ["rtol=0", "atol=0"]),
    "merit zero": (lambda: ps.Merit(0.0), ValueError, ["tol", "0.0", "positive"]),
    "linearization class": (lambda: ps.Newton(ps.Full), TypeError, ["linearization", "Full()"]),
    "damping": (lambda: ps.scale_elk(1.5), ValueError, ["damping", "1.5", "0 to 1"]),
    "clip": (lambda: ps.Newton(ps.Diagonal(), clip=0.0), ValueError, ["clip", "0.0", "positive"]),
    "form": (lambda: ps.Full("sparse"), ValueError, ["form", "sparse", "dense"]),
    "probes": (lambda: ps.StochasticDiagonal(jax.random.key(0), 0), ValueError, ["probes", "0"]),
    "surrogate": (lambda: ps.Surrogate(1.0), TypeError, ["step", "float", "callable"]),
    "optimizer": (lambda: ps.GradientDescent(optax.sgd), TypeError, ["optimizer", "optax.sgd(0.25)"]),
    "scan with a step that returns a state": (
        lambda: ps.scan(step, jnp.zeros(3), jnp.ones((5, 3))),
        TypeError,
        ["step", "pair (carry, y)"],
    ),
    "directions": (
        lambda: ps.lyapunov_exponents(step, jnp.zeros(3), jnp.ones((5, 3)), key=jax.random.key(0), directions=0),
        ValueError,
        ["directions", "0"],
    ),
    "warm_up": (
        lambda: ps.lyapunov_exponents(step, jnp.zeros(3), jnp.ones((5, 3)), key=jax.random.key(0), warm_up=5),
        ValueError,
        ["warm_up", "5", "less than T"],
    ),
    "dt": (
        lambda: ps.lyapunov_exponents(step, jnp.zeros(3), jnp.ones((5, 3)), key=jax.random.key(0), dt=0.0),
        ValueError,
        ["dt", "0.0", "positive"],
    ),
}


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_constructors_and_functions_refuse(name):
    call, error, words = CONSTRUCTORS[name]
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


def test_scan_accepts_nan_with_an_explicit_sequential_solver():
    carry, _ = ps.scan(lambda c, x: (jnp.where(jnp.isnan(c), x, c), c), jnp.nan, jnp.ones(3), solver=ps.Sequential())
    assert float(carry) == 1
