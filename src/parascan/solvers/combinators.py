"""Solvers made from solvers."""

from typing import ClassVar

import equinox as eqx

from .base import AbstractIterativeSolver, AbstractSolver


class Blocks(AbstractSolver):
    """A method applied to the boundaries of blocks of steps instead of to every step.

    The states inside a block follow from the one before it and are computed once, at the end, all blocks in parallel.
    Longer blocks need fewer iterations and less memory (``T D^2 / length`` for stored Jacobians) and more depth:
    length 1 is ``outer`` itself, length T is sequential evaluation. With ``jacobi()`` no Jacobian is needed, and one
    pass suffices once the burn-in is as long as the system remembers. A tolerance applies to the boundaries.

    Args:
        outer: the iterative method, such as ``ps.deer()``; not another ``Blocks``, nor one with ``Surrogate``.
        length: steps of a block, one or more; the last block may be shorter.
        burn_in: steps at the end of each block that are run from the guess to give a better first boundary, from 0
            to ``length``.

    Raises:
        TypeError: ``outer`` is not an iterative solver, or a number is not an integer.
        ValueError: a number is out of range.

    Source: multiple shooting, Bock and Plitt 1984; block Jacobi is parareal without a coarse propagator.

    Example:
        >>> import jax.numpy as jnp, parascan as ps
        >>> shooting = ps.Blocks(ps.deer(), length=10)
        >>> solution = ps.rollout(lambda s, x: jnp.tanh(0.5 * s + x), jnp.zeros(2), jnp.ones((95, 2)), solver=shooting)
        >>> solution.states.shape
        (95, 2)
    """

    outer: AbstractIterativeSolver
    length: int = eqx.field(static=True)
    burn_in: int = eqx.field(static=True, default=0)
    references: ClassVar[tuple[str, ...]] = ("bock1984shooting",)

    def __check_init__(self) -> None:
        if not isinstance(self.outer, AbstractIterativeSolver):
            given = getattr(self.outer, "__name__", type(self.outer).__name__)
            raise TypeError(f"outer: given {given}, expected an iterative solver such as ps.deer().")
        for name, value in (("length", self.length), ("burn_in", self.burn_in)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name}: given {value!r}, expected an integer.")
        if self.length < 1:
            raise ValueError(f"length: given {self.length}, expected one or more.")
        if not 0 <= self.burn_in <= self.length:
            raise ValueError(f"burn_in: given {self.burn_in}, expected 0 to length={self.length}.")
