"""Updates along the time of equations: ``python -m benchmarks.flows`` prints tables of docs/flows.md.

Counts alone, no times. It needs Diffrax, whose steps of constant length and whose adaptive solves are the steps here.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp

import parascan as ps

DT, LENGTH, BLOCK = 0.02, 1000, 50
INTERVALS, MOST_STEPS = 40, 256
TOLERANCES = (1e-4, 1e-8)
METHODS: Mapping[str, Callable[[], Any]] = {
    "Newton": ps.deer,
    "quasi-Newton": ps.quasi_deer,
    "Picard": ps.picard,
    "Newton on blocks of 50": lambda: ps.MultipleShooting(ps.deer(), BLOCK),
}


class Flow(NamedTuple):
    """An equation with its start.

    Attributes:
        rate: ``(t, y, args) -> dy/dt``.
        initial: y at time zero.
    """

    rate: Callable[[Any, Any, Any], jax.Array]
    initial: jax.Array


def fisher(t: Any, y: jax.Array, args: Any) -> jax.Array:
    """Growth with diffusion on a ring of 16 places, whose middle is fed in time with a season."""
    spread = jnp.roll(y, 1) - 2 * y + jnp.roll(y, -1)
    return 2 * spread + y * (1 - y) + 0.2 * jnp.sin(t) * (jnp.arange(16) == 8)


FLOWS = {
    "pendulum with friction 0.5, driven": Flow(
        lambda t, y, _: jnp.stack([y[1], -jnp.sin(y[0]) - 0.5 * y[1] + 0.3 * jnp.cos(t)]), jnp.asarray([1.0, 0.0])
    ),
    "pendulum without friction": Flow(lambda t, y, _: jnp.stack([y[1], -jnp.sin(y[0])]), jnp.asarray([1.0, 0.0])),
    "van der Pol": Flow(lambda t, y, _: jnp.stack([y[1], (1 - y[0] ** 2) * y[1] - y[0]]), jnp.asarray([1.0, 0.0])),
    "Fisher's equation, D = 16": Flow(fisher, 0.1 + 0.5 * (jnp.arange(16) < 4)),
    "Lorenz, chaotic": Flow(
        lambda t, y, _: jnp.stack([10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2]]),
        jnp.asarray([1.0, 1.0, 20.0]),
    ),
}


def count(step: Any, initial: Any, inputs: Any, solver: Any) -> tuple[int, float]:
    """Updates until the default criterion is met, and the largest distance from the plain loop.

    Args:
        step: ``(state, x) -> state``.
        initial: first state.
        inputs: of all steps.
        solver: the method.
    """
    found = ps.rollout(step, initial, inputs, solver=solver, throw=False)
    plain = ps.rollout(step, initial, inputs, solver=ps.Sequential())
    return int(found.stats.iterations), float(jnp.abs(found.states - plain.states).max())


def exponent(step: Any, initial: jax.Array, inputs: Any) -> float:
    """Growth of a small difference per unit of time, over all steps.

    Args:
        step: ``(state, x) -> state``.
        initial: first state.
        inputs: of all steps.
    """

    def follow(carry: tuple[jax.Array, jax.Array], x: Any) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        state, direction = carry
        state, moved = jax.jvp(lambda at: step(at, x), (state,), (direction,))
        length = jnp.linalg.norm(moved)
        return (state, moved / length), jnp.log(length)

    start = jnp.ones_like(initial) / initial.size**0.5
    return float(jnp.mean(jax.lax.scan(follow, (initial, start), inputs)[1])) / DT


def constant_steps() -> None:
    """Print the table of steps of constant length."""
    print("| equation | exponent | " + " | ".join(METHODS) + " |")
    print("|---|---|" + "---|" * len(METHODS))
    for name, flow in FLOWS.items():
        step = ps.systems.from_diffrax(diffrax.ODETerm(flow.rate), diffrax.Tsit5(), DT)
        initial, inputs = step.init(flow.initial.astype(float)), step.inputs(LENGTH)
        counts = [str(count(step, initial, inputs, make())[0]) for make in METHODS.values()]
        print(f"| {name} | {exponent(step, initial, inputs):.2f} | " + " | ".join(counts) + " |", flush=True)


def adaptive_intervals() -> None:
    """Print the table of adaptive solves over intervals of constant length."""
    print("\n| equation | tolerance | updates of Newton | farthest from the solves one after another |")
    print("|---|---|---|---|")
    stretch = DT * LENGTH / INTERVALS
    for name, flow in FLOWS.items():
        for tolerance in TOLERANCES:
            controller = diffrax.PIDController(rtol=tolerance, atol=tolerance)

            def interval(y: jax.Array, start: jax.Array, flow: Flow = flow, controller: Any = controller) -> jax.Array:
                solved = diffrax.diffeqsolve(
                    diffrax.ODETerm(flow.rate),
                    diffrax.Tsit5(),
                    start,
                    start + stretch,
                    DT,
                    y,
                    stepsize_controller=controller,
                    adjoint=diffrax.ForwardMode(),
                    max_steps=MOST_STEPS,
                    throw=False,
                )
                assert solved.ys is not None
                return jnp.where(diffrax.is_successful(solved.result), solved.ys[0], jnp.nan)

            starts = stretch * jnp.arange(INTERVALS, dtype=float)
            updates, apart = count(interval, flow.initial.astype(float), starts, ps.Newton(ps.Full("dense")))
            print(f"| {name} | {tolerance:g} | {updates} | {apart:.0e} |", flush=True)


if __name__ == "__main__":
    with jax.enable_x64(True):
        constant_steps()
        adaptive_intervals()
