"""Multiples of one number in each chunk, such as the only input of a network, whose result is cut into parts later.

XLA joins such a multiplication with the parts that are cut out of its result and with what follows, and then takes the
numbers of that loop one by one: a row of a GRU with one input took 3.5 times as long as one with two. A product of
matrices is not joined. So a column of zeros is added to the weights, and a zero to the number: the result is the same.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, Literal, Var
from jaxtyping import Array, Shaped

from .primitives import CUTS, ELEMENTWISE, MOVES

FEW_ENTRIES = 16
"""Entries of a result up to which it does not matter."""


def cut_later(program: Jaxpr) -> frozenset[Var]:
    """The values of a program that are cut into parts, themselves or after elementwise operations.

    Args:
        program: the operations.
    """
    found: set[Any] = set()
    for eqn in reversed(program.eqns):
        if eqn.primitive.name in CUTS:
            found.add(eqn.invars[0])
        elif eqn.primitive.name in ELEMENTWISE | MOVES and not found.isdisjoint(eqn.outvars):
            found.update(atom for atom in eqn.invars if not isinstance(atom, Literal))
    return frozenset(found)


def column(eqn: Any, operands: Sequence[Any], mapped: Sequence[bool]) -> Array | None:
    """The result ``[entries, chunks]`` of an operation that multiplies one number of each chunk; None for any other.

    Args:
        eqn: the operation.
        operands: its operands, with the chunks as their last axis where they are mapped.
        mapped: which of them differ from chunk to chunk.
    """
    shape, kinds = eqn.outvars[0].aval.shape, {atom.aval.dtype for atom in (*eqn.invars, *eqn.outvars)}
    if sum(mapped) != 1 or len(shape) != 1 or shape[0] <= FEW_ENTRIES or len(kinds) > 1:
        return None
    if not jnp.issubdtype(kinds.pop(), jnp.floating) or eqn.invars[place := mapped.index(True)].aval.size > 1:
        return None
    if eqn.primitive.name == "broadcast_in_dim":
        return _times(jnp.ones(shape, operands[0].dtype), operands[0])
    multiplies = eqn.primitive.name == "mul" or eqn.primitive.name == "dot_general"
    if not multiplies or eqn.invars[1 - place].aval.size != shape[0]:
        return None
    return _times(operands[1 - place], operands[place])


def _times(
    weights: Shaped[Array, "*entries"], numbers: Shaped[Array, "*one chunks"]
) -> Shaped[Array, "entries chunks"]:
    """All products of a weight and a number."""
    left = jnp.pad(jnp.reshape(weights, (-1, 1)), ((0, 0), (0, 1)))
    right = jnp.pad(numbers.reshape(1, -1), ((0, 1), (0, 0)))
    return jax.lax.dot(left, right)
