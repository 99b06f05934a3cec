"""A JAX function called with tensors: compiled, differentiated by JAX, and a node of PyTorch's graph."""

import re
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import torch

from ..api.rollout import RolloutError
from .tensors import to_jax, to_tensor, wide_numbers

Tree = Any

CHECK = re.compile(r"EquinoxRuntimeError: (?P<text>.*?)\s*(?:\n-{10,}|\Z)", re.S)
"""What a failed check says, among all that equinox writes around it."""


class Program:
    """A function of trees of arrays, to be called with trees of tensors.

    It is compiled once for each structure and shape, and can be copied and pickled, which what is compiled cannot.

    Args:
        function: ``(*trees, **settings) -> tree``; it must be one that can be pickled, where the program is to be.
        names: of the trees, for errors.
    """

    def __init__(self, function: Callable[..., Tree], names: tuple[str, ...]) -> None:
        self.function, self.names = function, names
        self._plain = eqx.filter_jit(self._run)
        self._with_pullback = eqx.filter_jit(self._pull)
        # PyTorch's compiler cannot look into it.
        self._opaque: Callable[..., Tree] = torch.compiler.disable(self._call)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.function, self.names)

    def __call__(self, *trees: Tree, **settings: Any) -> Tree:
        """The function's result as a tree of tensors.

        Args:
            *trees: with tensors as leaves.
            **settings: given to the function as they are; they must have a hash.

        Raises:
            TypeError: a leaf that is no tensor of real numbers that JAX can hold.
            ValueError: a tensor that is not dense or not on the CPU.
            RolloutError: a solver did not succeed; its ``solution`` is None, since the program ran as a whole.
        """
        return self._opaque(*trees, **settings)

    def _call(self, *trees: Tree, **settings: Any) -> Tree:
        """The function's result, outside of any graph that PyTorch compiles."""
        named, treedef = jax.tree_util.tree_flatten_with_path(trees)
        labels = [f"{self.names[path[0].idx]}{jax.tree_util.keystr(path[1:])}" for path, _ in named]
        tensors = [leaf for _, leaf in named]
        arrays = [to_jax(label, tensor) for label, tensor in zip(labels, tensors, strict=True)]
        if not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)):
            return jax.tree.map(to_tensor, _raising(self._plain, arrays, treedef, settings))
        needed = tuple(tensor.requires_grad for tensor in tensors)
        made: list[Any] = []
        outputs = _Node.apply(lambda: _raising(self._with_pullback, arrays, needed, treedef, settings), made, *tensors)
        return jax.tree.unflatten(made[0], outputs)

    def _run(self, arrays: list[jax.Array], treedef: Any, settings: dict[str, Any]) -> Tree:
        """The function's result, as a tree of arrays."""
        return jax.tree.map(jnp.asarray, self.function(*jax.tree.unflatten(treedef, arrays), **settings))

    def _pull(
        self, arrays: list[jax.Array], needed: tuple[bool, ...], treedef: Any, settings: dict[str, Any]
    ) -> tuple[Tree, Any]:
        """The result, and the function from cotangents of its floating leaves to those of the needed arrays."""

        def floating(moved: list[jax.Array]) -> tuple[list[jax.Array], Tree]:
            rest = iter(moved)
            every = [next(rest) if need else array for need, array in zip(needed, arrays, strict=True)]
            result = self._run(every, treedef, settings)
            return [leaf for leaf in jax.tree.leaves(result) if eqx.is_inexact_array(leaf)], result

        moved = [array for need, array in zip(needed, arrays, strict=True) if need]
        _, pullback, result = jax.vjp(floating, moved, has_aux=True)
        return result, pullback


class _Node(torch.autograd.Function):
    """The node of the graph: forward it runs a program, backward it applies what the program left for that."""

    @staticmethod
    def forward(ctx: Any, program: Callable[[], tuple[Tree, Any]], made: list[Any], *tensors: torch.Tensor) -> Any:
        """Leaves of the result; its structure is put into ``made``."""
        result, ctx.pullback = program()
        leaves, treedef = jax.tree.flatten(result)
        made.append(treedef)
        ctx.wide = wide_numbers()
        ctx.floating = [eqx.is_inexact_array(leaf) for leaf in leaves]
        # PyTorch refuses a second backward pass over what it has freed, which it knows only of tensors saved this way.
        ctx.save_for_backward(torch.empty(0))
        ctx.tensors = tensors
        return tuple(to_tensor(leaf) for leaf in leaves)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        """Gradients of the tensors that need one."""
        _ = ctx.saved_tensors
        # PyTorch may run this in a thread of its own, where JAX has its defaults.
        with jax.enable_x64(ctx.wide):
            given = [to_jax("gradient", each) for each, moves in zip(gradients, ctx.floating, strict=True) if moves]
            found = [to_tensor(each) for each in _raising(_apply, ctx.pullback, given)[0]]
        if torch.is_grad_enabled():
            found = _Last.apply(len(found), *found, *ctx.tensors, *gradients)
        rest = iter(found)
        return None, None, *(next(rest) if need else None for need in ctx.needs_input_grad[2:])


class _Last(torch.autograd.Function):
    """Gradients that have no derivative: without this node PyTorch would take them for constants, and say nothing."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The leading tensors, which then depend on all of them."""
        return tuple(each.clone() for each in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        """Refused.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("parascan.torch gives first derivatives only: a gradient of its gradients was asked for.")


@eqx.filter_jit
def _apply(pullback: Any, cotangents: list[jax.Array]) -> Any:
    """Cotangents of the arguments."""
    return pullback(cotangents)


def _raising(program: Callable[..., Any], *arguments: Any) -> Any:
    """A program's result when it is there; a check in it that fails is raised as the error of a rollout."""
    try:
        return jax.block_until_ready(program(*arguments))
    except eqx.EquinoxRuntimeError as error:
        found = CHECK.search(str(error))
        raise RolloutError(found["text"] if found else str(error), None) from None
