"""The outputs of a scan's step, computed from the new carry where they follow from it."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.extend.core import Literal

from ..solution import Tree
from .closure import Closed, Function
from .inside import computed_from


class Readout(Function):
    """``(new carry, carry, x) -> y`` for a step ``(carry, x) -> (new carry, y)``.

    Of the step, only what lies between the new carry and the outputs is computed. So an output that is read off the
    new carry costs what reading it takes, and not another step.
    """

    step: Closed
    carried: int = eqx.field(static=True)

    def __call__(self, after: Tree, carry: Tree, x: Tree) -> Tree:
        """The outputs.

        Args:
            after: the new carry.
            carry: the carry before.
            x: the inputs of the step.
        """
        closed, leaves = self.step.closed, jax.tree.leaves(after)
        firsts, outputs = closed.jaxpr.outvars[: self.carried], closed.jaxpr.outvars[self.carried :]
        # Where two leaves of the carry are one value, the first of them stands for both.
        pairs = reversed(list(zip(firsts, leaves, strict=True)))
        known = {atom: leaf for atom, leaf in pairs if not isinstance(atom, Literal)}
        known |= zip(closed.jaxpr.invars, jax.tree.leaves((carry, x)), strict=True)
        found = map(jnp.asarray, computed_from(closed, known, outputs))
        return self.step.program.assembled([*leaves, *found])[1]
