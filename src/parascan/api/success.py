"""Failure inside ``jit``, ``vmap`` or ``grad``, where the result is not known yet: it is raised as the program runs.

A program that is exported, or lowered for a platform that this process does not have, cannot raise an exception. There
a failed solve puts out NaN, so that it is not silently wrong either.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir
from jaxtyping import Array, Bool

from ..programs.unknown import unknown_is
from ..solution import Result, Tree


def successful_or_raise(answer: Tree, result: Result) -> Tree:
    """The answer, with a check that raises an error when the program runs and the result is no success.

    Under ``jax.vmap`` one failed element raises for all. Derivatives of a failed answer are NaN.

    Args:
        answer: any tree; keys in it are handed on as they are.
        result: traced.
    """
    leaves, treedef = jax.tree.flatten(answer)
    (code,), kind = jax.tree.flatten(result)
    failed = jnp.asarray(result != Result.successful)
    checked = [
        index
        for index, leaf in enumerate(leaves)
        if isinstance(leaf, jax.Array) and not jnp.issubdtype(leaf.dtype, jax.dtypes.extended)
    ]

    # All that is looked at is an argument: what a custom derivative closes over is lost in a solver within a solver.
    @jax.custom_jvp
    def check(failed: Array, code: Array, *arrays: Array) -> list[Array]:
        return _success.bind(failed, code, *arrays, kind=kind)

    @check.defjvp
    def _(primals: Sequence[Array], tangents: Sequence[Any]) -> tuple[list[Array], list[Any]]:
        factor = jnp.where(primals[0], jnp.nan, 1)
        moved = [
            change * factor.astype(change.dtype) if jnp.issubdtype(change.dtype, jnp.inexact) else change
            for change in tangents[2:]
        ]
        return check(*primals), moved

    for index, leaf in zip(checked, check(failed, code, *(leaves[index] for index in checked)), strict=True):
        leaves[index] = leaf
    return jax.tree.unflatten(treedef, leaves)


_success = Primitive("success")
_success.multiple_results = True


@_success.def_abstract_eval
def _shapes(failed: ShapedArray, code: ShapedArray, *arrays: ShapedArray, kind: Any) -> Sequence[ShapedArray]:
    """The shapes of the check's results: those of its operands."""
    return arrays


@_success.def_impl
def _raised(failed: Array, code: Array, *arrays: Array, kind: Any) -> list[Array]:
    """The arrays, or an error raised on the host."""
    # With several elements the one that failed worst speaks for all, as in equinox.
    result = jax.tree.unflatten(kind, [jnp.max(code)])
    # One flag goes to the host and comes back, not the arrays: these may be spread over devices, none of which has room
    # for all. The flag is false, which the compiler does not know.
    unwanted = result.error_if(jnp.asarray(False), jnp.any(failed))
    return [jnp.where(unwanted, jnp.zeros_like(array), array) for array in arrays]


def _voided(failed: Bool[Array, "*batch"], code: Array, *arrays: Array, kind: Any) -> list[Array]:
    """The arrays, or NaN in place of their values."""

    def one(array: Array) -> Array:
        where = failed.reshape(*failed.shape, *(1 for _ in range(array.ndim - failed.ndim)))
        return jnp.where(where, jnp.nan, array) if jnp.issubdtype(array.dtype, jnp.inexact) else array

    return [one(array) for array in arrays]


@unknown_is(lambda context: False)
def _may_raise(context: mlir.LoweringRuleContext) -> bool:
    """Whether the program will run in this process, on one platform that is here, so that an error can be raised."""
    module: Any = context.module_context
    module.get_backend()
    return len(module.platforms) == 1 and not module.lowering_parameters.for_export


def _lower(context: mlir.LoweringRuleContext, *operands: Any, kind: Any) -> Any:
    """The check as code for a platform: with an error where one can be raised, else with NaN."""
    run = _raised if _may_raise(context) else _voided
    return mlir.lower_fun(run, multiple_results=True)(context, *operands, kind=kind)


def _batch(operands: Sequence[Array], dims: Sequence[Any], *, kind: Any) -> tuple[list[Array], list[Any]]:
    """One check for all elements of a batch, whose failures are flags along the batch axis."""
    size = next(operand.shape[dim] for operand, dim in zip(operands, dims, strict=True) if dim is not None)

    def first(operand: Array, dim: Any) -> Array:
        if dim is None:
            return jnp.broadcast_to(operand, (size, *operand.shape))
        return jnp.moveaxis(operand, dim, 0)

    batched = [first(operand, dim) for operand, dim in zip(operands, dims, strict=True)]
    return _success.bind(*batched, kind=kind), [0] * (len(operands) - 2)


batching.primitive_batchers[_success] = _batch
mlir.register_lowering(_success, _lower)
