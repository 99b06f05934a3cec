"""Row 13: steps of a few operations, against the loop that a careful user unrolls."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr

import parascan as ps

from ..case import Case, Size, planned
from ..harness import assert_close

LENGTHS = (10**4, 10**5)
LOST = 0.97
"""Least ratio at the shorter length, where nothing is promised but that nothing is lost."""


class Small(NamedTuple):
    """A step of `(state, x) -> (state, y)` with its start, the shape of an input, and what it should gain."""

    step: Callable[[Any, Any], Any]
    start: Any
    of_input: tuple[int, ...]
    goal: float


def tanh(size: int) -> Small:
    """A network of a few units that forgets."""
    weights = 0.5 * jr.normal(jr.key(size), (size, size), jnp.float32) / size**0.5

    def step(s: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        s = jnp.tanh(weights @ s + x)
        return s, s

    return Small(step, jnp.zeros(size), (size,), 3.0)


def leaky(s: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A moving average."""
    s = 0.95 * s + 0.05 * x
    return s, s


def biquad(s: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A filter of second order in its transposed direct form."""
    y = 0.2 * x + s[0]
    return jnp.stack([0.3 * x + 0.5 * y + s[1], 0.1 * x - 0.2 * y]), y


def kalman() -> Small:
    """A filter of four states and two measurements, mean and covariance as the carry."""
    one, two = jnp.eye(4, dtype=jnp.float32), jnp.eye(2, dtype=jnp.float32)
    turn = 0.95 * (one + 0.05 * jr.normal(jr.key(4), (4, 4), jnp.float32))
    seen = jr.normal(jr.key(5), (2, 4), jnp.float32)

    def step(carry: tuple[jax.Array, jax.Array], z: jax.Array) -> Any:
        mean, spread = turn @ carry[0], turn @ carry[1] @ turn.T + 0.1 * one
        noise = seen @ spread @ seen.T + two
        turned = jnp.array([[noise[1, 1], -noise[0, 1]], [-noise[1, 0], noise[0, 0]]])
        gain = spread @ seen.T @ turned / (noise[0, 0] * noise[1, 1] - noise[0, 1] * noise[1, 0])
        mean = mean + gain @ (z - seen @ mean)
        return (mean, spread - gain @ seen @ spread), mean

    return Small(step, (jnp.zeros(4), jnp.eye(4)), (2,), 1.5)


def run(size: Size) -> Iterator[Case]:
    """Every step at both lengths."""
    steps = {f"tanh network D={units}": tanh(units) for units in (1, 2, 3, 4)} | {
        "leaky average": Small(leaky, jnp.zeros(()), (), 1.5),
        "biquad": Small(biquad, jnp.zeros(2), (), 1.5),
        "Kalman filter D=4": kalman(),
    }
    for name, each in list(steps.items())[: 2 if size.toy else None]:
        for full in LENGTHS[: 1 if size.toy else None]:
            T = size.length(full)
            xs = jr.normal(jr.key(0), (T, *each.of_input), jnp.float32)
            start = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), each.start)
            ours = partial(_program(ps.scan, each), start, xs)
            plain = partial(_plain, each, start, xs)
            label = f"{name} T={T} float32"
            assert_close(ours(), plain(1)(), 2**12, label)
            yield from planned(13, label, ours, plain, LOST, size, goal=each.goal if full == LENGTHS[-1] else LOST)


def _program(scan: Callable[..., Any], each: Small, **options: Any) -> Callable[..., Any]:
    """The outputs of a run."""
    return jax.jit(lambda start, xs: scan(each.step, start, xs, **options)[1])


def _plain(each: Small, start: Any, xs: jax.Array, unroll: int) -> Callable[[], Any]:
    """The same by `jax.lax.scan`, with so many steps in a turn."""
    return partial(_program(jax.lax.scan, each, unroll=unroll), start, xs)
