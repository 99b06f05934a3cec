"""A step and its arguments checked together before compilation, and brought to ``jax.lax.scan``'s form."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import ShapedArray

from ..programs.closure import Closed, close_over
from ..programs.device_axis import on_mesh
from ..programs.shapes import row_of, shape_like
from ..solution import StepFunction, Tree
from .arguments import as_arrays, describe, resolve_length
from .carry import CarryLayout


class Signature(eqx.Module):
    """A checked call: the step as ``(carry, x) -> (carry, y)``, the carry promoted as ``jax.lax.scan`` does.

    Attributes:
        step: ``(carry, x) -> (carry, y)``.
        init: initial carry.
        xs: inputs with leading axis T, or None.
        length: T.
        layout: of the carry.
        kept: whether the step puts out its new carry after its own outputs.
    """

    step: Callable[[Tree, Tree], tuple[Tree, Tree]]
    init: Tree
    xs: Tree
    length: int = eqx.field(static=True)
    layout: CarryLayout = eqx.field(static=True)
    kept: bool = eqx.field(static=True, default=False)

    @property
    def row(self) -> Tree:
        """Shapes of the inputs of one step."""
        return row_of(self.xs)

    def shapes_of_step(self) -> tuple[Tree, Tree]:
        """Shapes of the carry after a step and of its outputs."""
        return jax.eval_shape(self.step, self.init, self.row)

    def keeping_states(self) -> "Signature":
        """The call whose step puts out its new carry after its own outputs."""
        return dataclasses.replace(self, step=keeping(self.step), kept=True)


class TracedSignature(Signature):
    """A checked call whose step is traced, with the arrays that it closes over as leaves."""

    step: Closed  # pyright: ignore[reportIncompatibleMethodOverride]  # a traced function is a function

    def keeping_states(self) -> "TracedSignature":
        """The call whose step puts out its new carry after its own outputs."""
        step = close_over(keeping(self.step), shapes_of(self.init), self.row)
        return dataclasses.replace(self, step=step, kept=True)

    def with_values(self) -> "TracedSignature":
        """The call whose step knows small arrays that it closes over, as ``Closed.with_values`` has it."""
        return dataclasses.replace(self, step=self.step.with_values())


def keeping(step: StepFunction) -> StepFunction:
    """A step with its new carry among the outputs.

    Args:
        step: ``(carry, x) -> (carry, y)``.
    """

    def keep(carry: Tree, x: Tree) -> tuple[Tree, tuple[Tree, Tree]]:
        carry, y = step(carry, x)
        return carry, (y, carry)

    return keep


def resolve(
    step: StepFunction, init: Tree, xs: Tree, length: int | None, *, scan_form: bool, spread: bool = False
) -> Signature:
    """Check a call and bring its step to ``jax.lax.scan``'s form.

    Args:
        step: ``(state, x) -> state`` or ``(carry, x) -> (carry, y)``.
        init: initial carry, any tree of arrays or Python scalars.
        xs: inputs with leading axis T, or None.
        length: T, needed when ``xs`` is None.
        scan_form: refuse the first form of step.
        spread: whether the call is cut over devices, which run its step on parts of arrays.

    Raises:
        TypeError: the step is not callable or returns neither form, or changes a dtype.
        ValueError: lengths disagree, or the step changes a shape.
    """
    if not callable(step):
        raise TypeError(f"step: given {type(step).__name__}, expected a callable (state, x) -> state.")
    steps = resolve_length(xs, length)
    init, xs = as_arrays("init", init), as_arrays("xs", xs)
    x = row_of(xs)
    canonical = _canonical(step, scan_form=scan_form)
    closed = close_over(canonical, shapes_of(init), x)
    promoted = _promote_weak(init, closed.shapes[0])
    if any(new is not old for new, old in zip(jax.tree.leaves(promoted), jax.tree.leaves(init), strict=True)):
        closed = close_over(canonical, shapes_of(promoted), x)
    _check_unchanged(promoted, closed.shapes[0])
    # Types that say where an array lies are part of a program: that of other ones is traced where it is run.
    plain = all(_is_plain(leaf) or (spread and on_mesh(leaf)) for leaf in jax.tree.leaves((promoted, xs)))
    return Signature(closed if plain else canonical, promoted, xs, steps, CarryLayout.of(promoted))


def as_canonical(step: StepFunction, carry: Tree, x: Tree) -> Closed:
    """The step as ``(carry, x) -> (carry, y)``, traced for the shapes of its arguments.

    Args:
        step: the user's, of either form.
        carry: shapes of a carry.
        x: shapes of the inputs of a step.

    Raises:
        TypeError: the step returns neither form.
    """
    return close_over(_canonical(step, scan_form=False), carry, x)


def _canonical(step: StepFunction, *, scan_form: bool) -> Callable[[Tree, Tree], tuple[Tree, Tree]]:
    """The step as ``(carry, x) -> (carry, y)``; it raises ``TypeError`` where it turns out to return neither form."""

    def canonical(carry: Tree, x: Tree) -> tuple[Tree, Tree]:
        # Python's numbers are arrays from here on, as in ``jax.lax.scan``.
        out = as_arrays("step", step(carry, x))
        return out if _is_pair(out, carry, scan_form) else (out, None)

    return canonical


def _is_pair(out: Tree, carry: Tree, scan_form: bool) -> bool:
    """Whether a step returns scan's form; the two forms cannot be confused, since a tree never contains itself."""
    form = jax.tree.structure(carry)
    if isinstance(out, tuple) and len(out) == 2 and jax.tree.structure(out[0]) == form:
        return True
    if not scan_form and jax.tree.structure(out) == form:
        return False
    expected = "a pair (carry, y)" if scan_form else "the new state or a pair (carry, y)"
    raise TypeError(
        f"step: given one that returns {describe(out)}, expected {expected} with a carry of the structure of init, "
        f"{describe(carry)}."
    )


def shapes_of(tree: Tree) -> Tree:
    """Shapes, dtypes and weak types of a tree of arrays, with no value.

    Args:
        tree: the arrays.
    """
    return jax.tree.map(shape_like, tree)


def _is_weak(leaf: Any) -> bool:
    """Whether a leaf came from a Python scalar; key arrays have no such notion."""
    return getattr(leaf, "weak_type", False)


def _is_plain(leaf: Any) -> bool:
    """Whether an array's type holds only shape and dtype, and nothing about a mesh."""
    return jax.typeof(leaf) == ShapedArray(leaf.shape, leaf.dtype, weak_type=_is_weak(leaf))


def _promote_weak(init: Tree, after: Tree) -> Tree:
    """Give weakly typed initial leaves (Python scalars) the dtype that the step returns, as ``jax.lax.scan`` does."""

    def promote(leaf: Any, out: Any) -> Any:
        if leaf.dtype == out.dtype or not _is_weak(leaf):
            return leaf
        return jax.lax.convert_element_type(leaf, jnp.result_type(leaf, out.dtype))

    return jax.tree.map(promote, init, after)


def _check_unchanged(before: Tree, after: Tree) -> None:
    """Refuse a step that changes the shape or dtype of a carry leaf."""
    leaves = jax.tree_util.tree_flatten_with_path(before)[0]
    for (path, old), new in zip(leaves, jax.tree.leaves(after), strict=True):
        name = f"init{jax.tree_util.keystr(path)}"
        if old.shape != new.shape:
            raise ValueError(
                f"step: given one that turns {name} of shape {old.shape} into {new.shape}, expected the same shape."
            )
        if old.dtype != new.dtype:
            raise TypeError(
                f"step: given one that turns {name} of dtype {old.dtype} into {new.dtype}, expected the same dtype. "
                f"Convert {name} or what the step returns."
            )
