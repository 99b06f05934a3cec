"""What the tests of systems do with a system: build it by name, run it, and run algorithm 1 along it."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from parascan import systems
from parascan.systems import System

REQUIRED = {"tanh_rnn": lambda: {"gain": 0.9, "size": 12, "key": jax.random.key(1)}}


def build(name: str, **parameters: Any) -> System:
    return systems.get(name, **REQUIRED.get(name, dict)(), **parameters)


def run(system: System, length: int) -> Array:
    xs = system.inputs(length, key=jax.random.key(2))

    def body(state: Array, x: Any) -> tuple[Array, Array]:
        after = system.step(state, x)
        return after, after

    return jax.jit(lambda start, xs: jax.lax.scan(body, start, xs, length=length)[1])(system.initial_state, xs)


def exponent(system: System, length: int) -> float:
    """Algorithm 1 from three random directions without warm-up, per step."""
    xs = system.inputs(length, key=jax.random.key(3))
    directions = jax.random.normal(jax.random.key(4), (3, system.size), system.initial_state.dtype)

    def body(carry: tuple[Array, Array], x: Any) -> tuple[tuple[Array, Array], Array]:
        state, vectors = carry
        after, push = jax.linearize(lambda s: system.step(s, x), state)
        vectors = jax.vmap(push)(vectors)
        stretch = jnp.linalg.norm(vectors, axis=1)
        return (after, vectors / stretch[:, None]), jnp.log(stretch)

    start = directions / jnp.linalg.norm(directions, axis=1, keepdims=True)
    _, logs = jax.jit(lambda s, v, xs: jax.lax.scan(body, (s, v), xs, length=length))(system.initial_state, start, xs)
    return float(logs.mean())
