"""Steps one after the other, as ``jax.lax.scan`` takes them, and steps that add to totals over all of them."""

import abc
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from ..programs.batching import over_chunks
from ..programs.built_in import here
from ..programs.hoisting import hoisted
from ..programs.in_portions import in_portions
from ..programs.lazy import add_into
from ..programs.platform import platform_of
from ..programs.shapes import row_of
from ..solution import Tree
from .warm_up import Step

State: TypeAlias = tuple[Tree, Tree, Tree]
"""Carry, outputs and totals."""

Steps: TypeAlias = Callable[..., State]
"""``(carry, xs, length, reverse) -> State``: steps one after the other."""


class AbstractTally(eqx.Module):
    """A step that also adds to totals over all steps."""

    @abc.abstractmethod
    def __call__(self, carry: Tree, x: Tree) -> tuple[Tree, Tree]:
        """``(carry, y)`` of a step."""

    @abc.abstractmethod
    def tally(self, carry: Tree, x: Tree) -> tuple[Tree, Tree, Tree]:
        """``(carry, y)`` of a step, and what it adds to the totals."""

    @abc.abstractmethod
    def again(self, y: Tree, x: Tree, counted: Bool[Array, ""]) -> tuple[Tree, Tree]:
        """Carry and inputs with which a step that gave ``y`` adds to the totals what it added, or nothing.

        Args:
            y: output of the step.
            x: its inputs.
            counted: whether it adds anything.
        """


def tallying(step: Step) -> Callable[[Step, Tree, Tree], tuple[Tree, Tree, Tree]]:
    """A function that takes a step and also gives what it adds to totals: nothing for a step without totals."""
    if isinstance(step, AbstractTally):
        return lambda step, carry, x: step.tally(carry, x)  # pyright: ignore[reportFunctionMemberAccess]  # a tally too
    return lambda step, carry, x: (*step(carry, x), ())


def in_batch(step: Step, xs: Tree, batch: int) -> Callable[[Tree, Tree], State]:
    """A step of a batch of sequences, of carries ``[N, ...]`` and inputs ``[N or 1, ...]``; it adds nothing to totals.

    Args:
        step: of one sequence.
        xs: inputs of all steps, leaves ``[N or 1, T, ...]``.
        batch: N.
    """
    shared = jax.tree.map(lambda leaf: None if len(leaf) < batch else 0, xs)

    def batched(carry: Tree, x: Tree) -> State:
        x = jax.tree.map(lambda leaf: leaf[0] if len(leaf) < batch else leaf, x)
        return *jax.vmap(step, in_axes=(0, shared))(carry, x), ()

    return batched


def in_place(
    step: Callable[[Tree, Tree], State], xs: Tree, length: int, *, reverse: bool, time: int
) -> Callable[[Int[Array, ""], State], State]:
    """A function of the number of a step that takes it, and puts its outputs in their row.

    Args:
        step: also gives what it adds to the totals.
        xs: inputs of all steps.
        length: T.
        reverse: whether time runs from the last row to the first.
        time: axis of the rows.
    """

    def one(index: Int[Array, ""], state: State) -> State:
        row = length - 1 - index if reverse else index
        # No row is negative; a check for that in every step would be operations that ``jax.lax.scan`` has not.
        where = {"index": row, "axis": time, "allow_negative_indices": False}
        take = partial(jax.lax.dynamic_index_in_dim, keepdims=False, **where)
        put = partial(jax.lax.dynamic_update_index_in_dim, **where)
        carry, y, share = step(state[0], jax.tree.map(take, xs))
        return carry, jax.tree.map(put, state[1], y), jax.tree.map(jnp.add, state[2], share)

    return one


def no_totals(step: Step, carry: Tree, x: Tree) -> Tree:
    """Totals over no step, for the shapes of a step's arguments."""
    if not isinstance(step, AbstractTally):
        return ()
    shapes = jax.eval_shape(tallying(step), step, carry, x)[2]
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


def take_steps(step: Step, init: Tree, xs: Tree, length: int, *, reverse: bool, prepared: bool = False) -> State:
    """``jax.lax.scan`` of a batch of sequences, with totals; without ``jax.vmap`` where the batch is one sequence.

    Totals are added up after the loop: one product over many steps is far quicker than one of every step.

    Args:
        step: of one sequence.
        init: initial carries, leaves ``[N, ...]``.
        xs: inputs, leaves ``[N or 1, T, ...]``.
        length: T.
        reverse: whether time runs from the last row to the first.
        prepared: whether what a step computes without its carry is computed before the loop, for all steps at once.
    """

    def scan(init: Tree, xs: Tree) -> tuple[Tree, Tree, Tree]:
        run, rows = step, xs
        if prepared:
            before, run = hoisted(step, init, row_of(xs))
            rows = in_portions(before)(xs)
        # JAX keeps traces by the function, and a step that holds traced arrays has no hash.
        carry, ys = jax.lax.scan(lambda carry, x: run(carry, x), init, rows, length, reverse=reverse)
        return carry, ys, totals_of(step, init, ys, xs) if isinstance(step, AbstractTally) else ()

    batch = jax.tree.leaves(init)[0].shape[0]
    if batch == 1:
        carry, ys, totals = scan(*jax.tree.map(lambda leaf: leaf[0], (init, xs)))
        return *jax.tree.map(lambda leaf: leaf[None], (carry, ys)), totals
    axes = jax.tree.map(lambda leaf: None if len(leaf) < batch else 0, xs)
    xs = jax.tree.map(lambda leaf: leaf[0] if len(leaf) < batch else leaf, xs)
    return jax.vmap(scan, in_axes=(0, axes))(init, xs)


def totals_of(step: AbstractTally, carry: Tree, ys: Tree, xs: Tree) -> Tree:
    """Totals over all steps of one sequence, from their outputs and inputs ``[T, ...]``, a portion of them at a time.

    Args:
        step: the step.
        carry: of one sequence, for its shapes.
        ys: its outputs.
        xs: its inputs.
    """
    x, y = row_of(xs), row_of(ys)
    length = jax.tree.leaves(ys)[0].shape[0]
    width = min(here(platform_of()).portion, length)

    def added(step: AbstractTally, y: Tree, x: Tree, counted: Bool[Array, ""]) -> Tree:
        return step.tally(*step.again(y, x, counted))[2]

    example = step, y, x, jax.ShapeDtypeStruct((), bool)
    run = over_chunks(added, (False, True, True, True), *example, summed=True)

    def add(index: Int[Array, ""], totals: Tree) -> Tree:
        first = jnp.minimum(index * width, length - width)
        rows = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, first, width), (ys, xs))
        rows = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), rows)
        return jax.tree.map(add_into, totals, run(step, *rows, first + jnp.arange(width) >= index * width))

    return jax.lax.fori_loop(0, -(-length // width), add, no_totals(step, carry, x))
