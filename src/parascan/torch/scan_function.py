"""A step written in JAX as a recurrence over tensors."""

from collections.abc import Callable

import jax

from ..adjoint.implicit import AbstractAdjoint
from ..api.rollout import scan
from ..planning import Plan
from ..solvers import AbstractSolver
from ..solvers.criterion import AbstractCriterion
from .autograd_call import Program, Tree


def scan_function(
    step: Callable[..., tuple[Tree, Tree]],
    *,
    reverse: bool = False,
    solver: AbstractSolver | Plan | None = None,
    criterion: AbstractCriterion | None = None,
    max_iterations: int | None = None,
    adjoint: AbstractAdjoint | None = None,
    batched: bool = False,
) -> Callable[..., tuple[Tree, Tree]]:
    """A function over tensors that runs a step written in JAX, as ``ps.scan`` does over arrays.

    ``run = scan_function(step)`` is called as ``run(init, xs, *weights)`` with trees of tensors, and returns the final
    carry and the outputs of all steps ``[T, ...]`` as tensors. Gradients reach ``init``, ``xs`` and ``weights``: an
    array that the step closes over gets none. They are those of ``ps.scan``, exact whatever the solver; a derivative of
    a gradient is refused. The program is compiled at the first call of each shape.

    Args:
        step: ``(carry, x, *weights) -> (carry, y)``, written with ``jax.numpy``.
        reverse: run from the last input to the first.
        solver: how to evaluate, as in ``ps.scan``.
        criterion: when iterations stop, as in ``ps.scan``.
        max_iterations: most updates, as in ``ps.scan``.
        adjoint: how derivatives are taken, as in ``ps.scan``.
        batched: whether ``init`` and ``xs`` have a leading axis of sequences, each a recurrence of its own with the
            same weights.

    Returns:
        ``run(init, xs, *weights, length=None)``; ``xs`` may be None where the length is given.

    Raises:
        TypeError: ``step`` cannot be called; in a call, a leaf that is no tensor of real numbers, or one 64 bits wide
            while JAX has 64-bit numbers disabled.
        ValueError: in a call, what ``ps.scan`` refuses; a tensor that is not dense or not on the CPU.
        RolloutError: in a call, the solver did not succeed; its ``solution`` is None.

    Examples:
        >>> import torch, jax.numpy as jnp
        >>> from parascan.torch import scan_function
        >>> run = scan_function(lambda s, x, decay: (decay * s + x, s))
        >>> decay = torch.tensor(0.5, requires_grad=True)
        >>> total, before = run(torch.tensor(0.0), torch.ones(3), decay)
        >>> total.backward()
        >>> before = before.detach()
        >>> before, decay.grad
        (tensor([0.0000, 1.0000, 1.5000]), tensor(2.))
    """
    if not callable(step):
        raise TypeError(f"step: given {type(step).__name__}, expected a function (carry, x, *weights) -> (carry, y).")
    options = {"solver": solver, "criterion": criterion, "max_iterations": max_iterations, "adjoint": adjoint}

    def over_arrays(init: Tree, xs: Tree, weights: tuple[Tree, ...], length: int | None) -> tuple[Tree, Tree]:
        def one(init: Tree, xs: Tree) -> tuple[Tree, Tree]:
            return scan(lambda carry, x: step(carry, x, *weights), init, xs, length, reverse, **options)

        return (jax.vmap(one) if batched else one)(init, xs)

    program = Program(over_arrays, ("init", "xs", "weights"))

    def run(init: Tree, xs: Tree = None, *weights: Tree, length: int | None = None) -> tuple[Tree, Tree]:
        """Final carry and outputs, as tensors."""
        return program(init, xs, weights, length=length)

    return run
