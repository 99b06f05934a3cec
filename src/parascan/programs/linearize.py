"""A map split into its value and its derivative, so that what the derivative needs can be stored in between."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jaxtyping import Array

from ..solution import Tree

Linearize = Callable[[Array, Tree], tuple[Array, list[Array]]]
"""A function that gives the states after a step, and the arrays that its derivative needs."""


def linearized(
    advance: Callable[[Array, Tree], Array], states: Array, x: Tree
) -> tuple[Linearize, Callable[[list[Array], Array], Array]]:
    """Two functions: one gives a map's value and the arrays that its derivative needs, one its derivative from these.

    Args:
        advance: the map, of states and inputs.
        states: an example of its first argument.
        x: an example of its second.
    """
    programs = []

    def linearize(states: Array, x: Tree) -> tuple[Array, list[Array]]:
        after, derivative = jax.linearize(lambda s: advance(s, x), states)
        closed = jax.make_jaxpr(derivative)(states)
        programs.append(closed.jaxpr)
        return after, [jnp.asarray(each) for each in closed.consts]

    jax.eval_shape(linearize, states, x)

    def push(needed: list[Array], vectors: Array) -> Array:
        (pushed,) = jaxpr_as_fun(ClosedJaxpr(programs[0], needed))(vectors)
        return pushed

    return linearize, push
