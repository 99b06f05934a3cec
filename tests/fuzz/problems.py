"""Seeded random problems: systems of every temper, guesses near and far, some with inputs that are no numbers."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import parascan as ps

SHAPES = ((1, 1), (2, 3), (17, 1), (40, 3))
"""Lengths and sizes, in turn."""

SOLVERS = {
    "deer": lambda: ps.deer(),
    "elk": lambda: ps.elk(),
    "forgetting": lambda: None,
    "quasi_deer": lambda: ps.quasi_deer(),
    "line_search": lambda: ps.LineSearch(ps.Newton(ps.Full(), clip=10.0)),
    "hybrid": lambda: ps.Hybrid(ps.GradientDescent(), ps.deer()),
    "anderson": lambda: ps.Anderson(ps.quasi_deer(), 2),
    "quasi_elk": lambda: ps.quasi_elk(),
    "blocks": lambda: ps.MultipleShooting(ps.deer(), 4),
    "jacobi": lambda: ps.jacobi(),
    "descent": lambda: ps.GradientDescent(),
}
"""Solvers in turn."""

KINDS = (
    lambda s, drive, gain: jnp.tanh(drive),
    lambda s, drive, gain: 0.9 * s + 0.1 * jnp.sin(drive),
    lambda s, drive, gain: jnp.clip(gain, 0.0, 4.0) * s * (1 - s) + 0.0 * drive,
    lambda s, drive, gain: s - 0.2 * s**3 + 0.1 * drive,
    lambda s, drive, gain: 0.5 * drive + jnp.where(s > 0, 0.3, -0.3),
    lambda s, drive, gain: drive,
)
"""RNN, leaky oscillator, logistic map, cubic map that may overflow, jumps, linear with any growth."""


class Problems(NamedTuple):
    """A batch of problems of one shape, leading axis their number."""

    kind: np.ndarray
    gain: np.ndarray
    weights: np.ndarray
    init: np.ndarray
    xs: np.ndarray
    guess: np.ndarray


def draw(seed, count, length, size):
    """A batch of random problems, float32 numbers, the same for the same seed."""
    generator = np.random.default_rng([seed, length, size])
    normal = lambda *shape: generator.standard_normal((count, *shape))  # noqa: E731
    gain = np.exp(generator.uniform(np.log(0.1), np.log(4.0), count))
    weights = normal(size, size) / size**0.5
    # Every third matrix is far from normal.
    weights[::3] += 20 * np.triu(normal(size, size), 1)[::3]
    xs = normal(length, size) * generator.choice([0.1, 1.0, 10.0], count)[:, None, None]
    spoiled = generator.random(count) < 0.04
    xs[spoiled, generator.integers(length, size=count)[spoiled]] = np.nan
    guess = normal(length, size) * generator.choice([0.0, 1.0, 1e3, 1e6], count)[:, None, None]
    batch = Problems(
        generator.integers(len(KINDS), size=count), gain, weights, generator.uniform(0, 1, (count, size)), xs, guess
    )
    return Problems(*(leaf.astype(np.int32 if leaf.dtype.kind == "i" else np.float32) for leaf in batch))


def step_of(problem):
    """The step of one problem."""

    def step(s, x):
        drive = problem.gain * (problem.weights @ s) + x
        return jax.lax.switch(problem.kind, KINDS, s, drive, problem.gain.astype(s.dtype))

    return step


def solve(solver):
    """A compiled function of a batch: solution and sequential trajectory in float32."""

    def run(problem):
        built = solver()
        step = step_of(problem)
        most = 200 if isinstance(built, ps.GradientDescent) else None
        guess = None if built is None else ps.guesses.Given(problem.guess)
        return ps.rollout(step, problem.init, problem.xs, solver=built, guess=guess, max_iterations=most, throw=False)

    return jax.jit(jax.vmap(run))


def sequential(problems):
    """States of every problem, one step after the other, in the dtype of its arrays."""

    def run(problem):
        step = step_of(problem)
        return jax.lax.scan(lambda s, x: (step(s, x),) * 2, problem.init, problem.xs)[1]

    return jax.jit(jax.vmap(run))(problems)
