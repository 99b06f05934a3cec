"""Discrete leaves of a carry: which depend on floating ones and would change under the iterations, and their values."""

from typing import Any

import jax
from jaxtyping import Array

from ..solution import State, Tree
from .signature import Signature, TracedSignature


def refuse_dependent_leaves(signature: Signature, x: Tree) -> None:
    """Refuse a discrete leaf that depends on a floating one: it would change under the iterations.

    Args:
        signature: the call.
        x: shapes of the inputs of a step.

    Raises:
        ValueError: there is one, with its name.
    """
    if guilty := dependent_leaves(signature, x):
        raise ValueError(
            f"step: given one whose discrete carry leaf {guilty} depends on floating leaves, expected discrete leaves "
            "that evolve on their own. Return it among the outputs y instead, or use solver=Sequential()."
        )


def dependent_leaves(signature: Signature, x: Tree) -> str:
    """Names of the discrete carry leaves that depend on floating ones; empty where there are none.

    Mapping only the floating leaves over a batch makes JAX itself trace the dependence: an output that may not be
    batched is one that no floating leaf reaches.

    Args:
        signature: the call.
        x: shapes of the inputs of a step.
    """
    layout = signature.layout
    names = [leaf.path for leaf in layout.leaves if not leaf.continuous]
    if not names:
        return ""

    def depends(index: int | None) -> bool:
        def after(states: State, discrete: tuple[Array, ...], x: Tree) -> Any:
            leaves = layout.ravel(signature.step(layout.unravel(states, discrete), x)[0])[1]
            return leaves if index is None else leaves[index]

        discrete = jax.eval_shape(layout.ravel, signature.init)[1]
        batch = jax.ShapeDtypeStruct((2, layout.size), layout.dtype)
        try:
            jax.eval_shape(jax.vmap(after, in_axes=(0, None, None), out_axes=None), batch, discrete, x)
        except ValueError as error:
            if "out_axes" not in str(error):
                raise
            return True
        return False

    if not depends(None):
        return ""
    return ", ".join(f"init{name}" for index, name in enumerate(names) if depends(index))


def discrete_leaves(signature: TracedSignature, *, reverse: bool) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Discrete leaves before every step, in the user's order of time, and after the last step.

    None depends on floating leaves, which stay as they are here.

    Args:
        signature: the call.
        reverse: whether time runs from the last input to the first.
    """
    floating, discrete = signature.layout.partition(signature.init)
    if not discrete:
        return (), ()

    def advance(leaves: tuple[Array, ...], x: Tree) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        return signature.layout.partition(signature.step(signature.layout.combine(floating, leaves), x)[0])[1], leaves

    final, before = jax.lax.scan(advance, discrete, signature.xs, signature.length, reverse=reverse)
    return before, final
