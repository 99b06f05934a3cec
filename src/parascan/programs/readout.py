"""The outputs of a scan's step, computed from the new carry where they follow from it."""

from typing import Any

import equinox as eqx
import jax
from jax.extend.core import Jaxpr, JaxprEqn

from ..solution import Tree
from .closure import Closed, Function
from .inside import bind, interpreted


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
        closed = self.step.closed
        known = self._known(jax.tree.leaves(after))
        needed = self.step.program.fact("readout", lambda: _needed(closed.jaxpr, self.carried))

        def apply(eqn: JaxprEqn, operands: list[Any]) -> list[Any]:
            if id(eqn) not in needed:
                return [known.get(id(atom)) for atom in eqn.outvars]
            results = zip(eqn.outvars, bind(eqn, eqn.params, operands), strict=True)
            return [known.get(id(atom), result) for atom, result in results]

        results = interpreted(closed, jax.tree.leaves((carry, x)), apply)
        return self.step.program.assembled([*jax.tree.leaves(after), *map(jax.numpy.asarray, results[self.carried :])])[
            1
        ]

    def _known(self, leaves: list[Any]) -> dict[int, Any]:
        """The leaves of the new carry, by the variables of the program that they are values of."""
        firsts = self.step.program.jaxpr.outvars[: self.carried]
        # Where two leaves are one value, the first of them stands for both.
        return {id(atom): leaf for atom, leaf in reversed(list(zip(firsts, leaves, strict=True)))}


def _needed(program: Jaxpr, carried: int) -> set[int]:
    """The operations of which the further results of a program need more than its first results."""
    firsts = {id(atom) for atom in program.outvars[:carried]}
    wanted = {id(atom) for atom in program.outvars[carried:]} - firsts
    needed = set()
    for eqn in reversed(program.eqns):
        if wanted & {id(atom) for atom in eqn.outvars}:
            needed.add(id(eqn))
            wanted |= {id(atom) for atom in eqn.invars} - firsts
    return needed
