"""The exponent that a system truly has along its trajectory, by plain products of tangents.

Nothing of the library is used. Random directions are carried by ``jax.jvp`` beside the state, each scaled to length one
after every step; the logarithms of what is scaled away add up to the growth.

- ``over``: logarithm of the root mean square growth of the directions over the T steps, divided by T.
- ``later``: the same from T to 10 T, divided by 9 T: the exponent in the long run.
- ``known``: the exponent in the long run where theory gives it.
- ``fate``: *shrink* and *grow* where the perturbations over T become smaller or larger by e^10, else *neither*.
- ``apart``: logarithm of the distance of two copies after T steps, over that at the start (1e-6), divided by T: what
  finite differences do where the step jumps and its tangent does not see it.

A direction that becomes zero has the exponent minus infinity, which Python's JSON knows as ``-Infinity``.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from .family import LONG, VARIANTS, Family, Step
from .stores import rounded

DIRECTIONS = 4
"""Random directions whose growth is measured."""

DECISIVE = 10.0
"""Logarithm of a growth or decay from which it is called one."""

DISTANCE = 1e-6
"""Of two copies at the start, beside the size of the state."""


def exponents(family: Family) -> dict[str, dict[str, Any]]:
    """What is known of all members of a family, by name.

    Args:
        family: the family.
    """
    members = [family.member(place) for place in range(VARIANTS)]
    drives = [family.drive(place, LONG * family.length) for place in range(VARIANTS)]
    stack = functools.partial(jax.tree.map, lambda *leaves: jnp.stack(leaves))
    numbers, starts = stack(*(each.numbers for each in members)), stack(*(each.start for each in members))
    inputs = None if family.inputs is None else stack(*drives)

    def of_one(numbers: Any, start: Any, inputs: Any) -> tuple[Array, Array]:
        return _growth(Step(family.law, numbers), start, inputs, family.length)

    run: Callable[..., Any] = jax.jit(jax.vmap(of_one, in_axes=(0, 0, None if inputs is None else 0)))
    logs, apart = (np.asarray(each, float) for each in run(numbers, starts, inputs))
    return {
        f"{family.name} {place}": _record(family, logs[place], float(apart[place]), members[place].known)
        for place in range(VARIANTS)
    }


def _growth(step: Step, start: Any, inputs: Any, length: int) -> tuple[Array, Array]:
    """Logarithms of growth to T and from there to 10 T by direction ``[2 K]``, and of the distance of copies."""
    state, unravel = ravel_pytree(start)

    def advance(flat: Array, x: Any) -> Array:
        return ravel_pytree(step(unravel(flat), x))[0]

    def tangents(carry: Any, x: Any) -> tuple[Any, None]:
        flat, vectors, logs = carry
        moved, pushed = jax.vmap(lambda v: jax.jvp(lambda s: advance(s, x), (flat,), (v,)))(vectors)
        size = jnp.linalg.norm(pushed, axis=1)
        return (moved[0], pushed / jnp.where(size > 0, size, 1.0)[:, None], logs + jnp.log(size)), None

    def pair(carry: Any, x: Any) -> tuple[Any, None]:
        return jax.tree.map(lambda flat: advance(flat, x), carry), None

    first = jax.random.normal(jax.random.key(0), (DIRECTIONS, state.size))
    first = first / jnp.linalg.norm(first, axis=1, keepdims=True)
    none = jnp.zeros(DIRECTIONS)
    head = jax.tree.map(lambda leaf: leaf[:length], inputs)
    tail = jax.tree.map(lambda leaf: leaf[length:], inputs)
    (middle, vectors, over), _ = jax.lax.scan(tangents, (state, first, none), head, length=length)
    (_, _, later), _ = jax.lax.scan(tangents, (middle, vectors, none), tail, length=(LONG - 1) * length)
    shift = DISTANCE * (1 + jnp.max(jnp.abs(state))) * first[0]
    copies, _ = jax.lax.scan(pair, (state, state + shift), head, length=length)
    apart = jnp.log(jnp.linalg.norm(copies[0] - copies[1]) / jnp.linalg.norm(shift))
    return jnp.stack([over, later]), apart


def _record(family: Family, logs: np.ndarray, apart: float, known: float | None) -> dict[str, Any]:
    """The stored fields, from ``[2 K]`` logarithms."""
    over, later = (_root_mean_square(each) for each in logs)
    fate = "shrink" if over <= -DECISIVE else "grow" if over >= DECISIVE else "neither"
    return {
        "length": family.length,
        "over": rounded(over / family.length),
        "spread": rounded(float(np.ptp(logs[0])) / family.length, 3) if math.isfinite(over) else 0.0,
        "later": rounded(later / ((LONG - 1) * family.length)),
        "known": known,
        "fate": fate,
        "apart": rounded(apart / family.length, 4),
    }


def _root_mean_square(logs: np.ndarray) -> float:
    """Logarithm of the root mean square of numbers given by their logarithms."""
    top = float(np.max(logs))
    return top + 0.5 * math.log(float(np.mean(np.exp(2 * (logs - top))))) if math.isfinite(top) else top
