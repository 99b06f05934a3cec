"""The catalogue of hard cases, and the methods that are run over it; a new one joins by one line here."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import parascan as ps


@dataclass(frozen=True)
class Case:
    """One hard system: what is hard about it, how it is built in a dtype, and from which guess it is solved."""

    text: str
    build: Any
    guess: Any = None
    dtype: str = "float64"
    predictable: bool = True
    criterion: Any = field(default_factory=ps.StateError)
    budget: int = 300


def draws(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def non_normal(dtype):
    matrix = jnp.asarray([[0.6, 15.0, 0.0], [0.0, 0.6, 15.0], [0.0, 0.0, 0.6]], dtype)
    return lambda s, x: matrix @ jnp.sin(s) + x, jnp.zeros(3, dtype), jnp.asarray(draws(60, 3), dtype)


def stiff(dtype):
    rates = jnp.asarray([0.999, 0.5, -0.95, 1e-3], dtype)
    return lambda s, x: rates * s - 0.05 * s**3 / (1 + s**2) + x, jnp.ones(4, dtype), jnp.asarray(draws(200, 4), dtype)


def unstable_transient(dtype):
    rates = jnp.where(jnp.arange(120) < 40, 2.5, 0.3).astype(dtype)
    xs = (rates, jnp.asarray(draws(120, 2), dtype))
    return lambda s, x: x[0] * jnp.sin(s) + x[1], jnp.zeros(2, dtype), xs


def lorenz(dtype, length=150):
    system = ps.systems.get("lorenz")
    return lambda s, _: system.step(s, None), jnp.asarray(system.initial_state, dtype), jnp.zeros((length, 0), dtype)


def chaotic_rnn(dtype):
    weights = 2.0 * jnp.asarray(draws(8, 8), dtype) / 8**0.5
    return lambda s, x: weights @ jnp.tanh(s) + x, jnp.zeros(8, dtype), jnp.asarray(0.1 * draws(60, 8, seed=1), dtype)


def jumping(dtype):
    return (
        lambda s, x: 0.5 * s + jnp.where(s > 0, 0.4, -0.4).astype(s.dtype) + x,
        jnp.zeros(2, dtype),
        jnp.asarray(draws(150, 2), dtype),
    )


def cubic(dtype):
    return lambda s, x: s - 0.1 * s**3 + 0.1 * x, jnp.ones(1, dtype), jnp.asarray(draws(80, 1), dtype)


def contracting(dtype, size=3, length=100):
    weights = jnp.asarray(0.5 * draws(size, size) / size**0.5, dtype)
    xs = jnp.asarray(draws(length, size, seed=2), dtype)
    return lambda s, x: jnp.tanh(weights @ s + x), jnp.zeros(size, dtype), xs


def far(scale):
    return lambda: ps.guesses.Normal(jax.random.key(7), scale)


CASES = {
    "non_normal": Case("Jacobians far from normal: products grow to 10^3 before they shrink", non_normal, far(1.0)),
    "stiff": Case("rates from 0.999 to 0.001 in one state", stiff, far(10.0)),
    "unstable_transient": Case(
        "growth for 40 steps, then contraction", unstable_transient, far(1.0), predictable=False
    ),
    "lorenz": Case(
        "Lorenz from standard normals", lorenz, far(1.0), predictable=False, criterion=ps.Merit(1e-10), budget=150
    ),
    "chaotic_rnn": Case("RNN at g = 2", chaotic_rnn, far(1.0), predictable=False, criterion=ps.Merit(1e-10), budget=60),
    "jumping": Case("a step that jumps at zero", jumping, far(1.0)),
    "far_cubic": Case("a cubic step, guess at 10^6: images of 10^17", cubic, far(1e6)),
    "far_contracting": Case("a contracting RNN, guess at 10^6", contracting, far(1e6)),
    "float32": Case("float32, default tolerance", contracting, far(1.0), dtype="float32"),
    "one_dimension": Case("D = 1, no axis to spare", lambda dtype: contracting(dtype, 1), far(1.0)),
}

METHODS = {
    "deer": lambda: ps.deer(),
    "quasi_deer": lambda: ps.quasi_deer(),
    "scale_elk(0.3)": lambda: ps.scale_elk(0.3),
    "elk": lambda: ps.elk(),
    "quasi_elk": lambda: ps.quasi_elk(),
    "LineSearch(deer)": lambda: ps.LineSearch(ps.deer()),
    "Hybrid(descent, deer)": lambda: ps.Hybrid(ps.GradientDescent(), ps.deer()),
    "GradientDescent()": lambda: ps.GradientDescent(),
}


def outcome(case, method):
    """Code, iterations, and the largest error against sequential evaluation in the same dtype over ``1 + |s|``."""
    with jax.enable_x64(case.dtype == "float64"):
        step, init, xs = case.build(jnp.dtype(case.dtype))
        solution = ps.rollout(
            step,
            init,
            xs,
            solver=METHODS[method](),
            criterion=case.criterion,
            guess=None if case.guess is None else case.guess(),
            max_iterations=case.budget,
            throw=False,
        )
        truth = jax.lax.scan(lambda s, x: (step(s, x),) * 2, init, xs)[1]
        error = float(jnp.max(jnp.abs(solution.states - truth) / (1 + jnp.max(jnp.abs(truth), axis=0))))
        code = next(n for n in ps.Result._name_to_item if bool(solution.result == getattr(ps.Result, n)))
        return code, int(solution.stats.iterations), error
