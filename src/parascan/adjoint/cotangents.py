"""Cotangents of a whole recurrence in one pass over its steps, backwards in time, in chunks side by side.

The transposed recurrence ``y_t = J_{t+1}^T y_{t+1} + c_t`` needs each step's linearization, and so do the cotangents of
the step's inputs and of the arrays it closes over, which follow from ``y_t``. One pass uses one linearization for both.

The pass carries ``y_t`` and not ``J_{t+1}^T y_{t+1}``: the sum is what is rounded, so that only its size tells how far
rounding keeps two runs apart where they are judged.
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from ..chunked import AbstractTally, Layout, scan_blocks, tally_blocks
from ..problem.flat_recurrence import Recurrence
from ..programs.closure import Function, close_over
from ..programs.cost import Kind, copy_share_back
from ..programs.device_axis import one_later
from ..programs.shapes import row_of
from ..programs.work import counted
from ..solution import State, Trajectory, Tree

Row = tuple[State, Tree, Tree, State]
"""State before a step, its inputs with a tangent, those without, and the given cotangent of the state before it."""


class _Pull(AbstractTally):
    """One step backwards: from the cotangent of the state after a step to that of the state before it.

    Attributes:
        moving: the leaves of the step that have a tangent.
        fixed: those that have none.
    """

    moving: Tree
    fixed: Tree

    def predicted(self, moving: Tree, state: State, inputs: Tree, fixed_inputs: Tree) -> State:
        """The state after a step, by the arrays that have a tangent and those that have none."""
        return eqx.combine(moving, self.fixed)(state, eqx.combine(inputs, fixed_inputs))

    def __call__(self, y: State, x: Row) -> tuple[State, tuple[State, Tree]]:
        """The cotangent of the state before; as outputs, ``y_t`` and the cotangents of the inputs."""
        return self.tally(y, x)[:2]

    def tally(self, carry: State, x: Row) -> tuple[State, tuple[State, Tree], Tree]:
        """The results of a call, and the cotangents of the arrays that the step closes over."""
        previous, moving_inputs, fixed_inputs, cotangent = x
        advance = partial(self.predicted, fixed_inputs=fixed_inputs)
        weights, leaving, inputs = jax.vjp(advance, self.moving, previous, moving_inputs)[1](carry)
        return leaving + cotangent, (carry, inputs), weights

    def again(self, y: tuple[State, Tree], x: Row, counted: Bool[Array, ""]) -> tuple[State, Row]:
        """``y_t``, or zero, and the same row."""
        return jnp.where(counted, y[0], 0), x


class _Leave(Function):
    """A step backwards without what follows from ``y_t``, which comes later, for all steps at once."""

    step: _Pull

    def __call__(self, y: State, x: Row) -> tuple[State, State]:
        """The cotangent of the state before, and ``y_t``."""
        previous, moving_inputs, fixed_inputs, cotangent = x
        advance = partial(self.step.predicted, self.step.moving, inputs=moving_inputs, fixed_inputs=fixed_inputs)
        (leaving,) = jax.vjp(advance, previous)[1](y)
        return leaving + cotangent, y

    def others(self, y: Trajectory, rows: tuple[Trajectory, Tree, Tree]) -> tuple[Tree, Tree]:
        """The cotangents of what the step closes over, and of its inputs, by one pass over all steps."""
        previous, moving_inputs, fixed_inputs = rows

        def all_steps(moving: Tree, inputs: Tree) -> Trajectory:
            return jax.vmap(partial(self.step.predicted, moving))(previous, inputs, fixed_inputs)

        return jax.vjp(all_steps, self.step.moving, moving_inputs)[1](y)


class Pullback:
    """Cotangents of a recurrence at given states, for those of its arrays that have a tangent.

    Args:
        problem: the recurrence.
        states: where it is linearized ``[T D]``.
        tangent: tree like ``problem``, None for arrays without a tangent.
        prepared: whether steps that are taken one after the other find each step's linearization stored.
    """

    def __init__(self, problem: Recurrence, states: Trajectory, tangent: Recurrence, *, prepared: bool = False) -> None:
        moving, fixed = _partition(problem.advance, tangent.advance)
        inputs, others = _partition(problem.inputs, tangent.inputs)
        self._step = _Pull(moving, fixed)
        self._rows = (problem.previous(states), inputs, others)
        self._tangent = tangent
        self._zero = jnp.zeros_like(problem.initial)
        row = row_of((*self._rows, jnp.zeros_like(states)))
        program = close_over(self._step.tally, self._zero, row)
        work = counted(program.closed)
        double, spread = problem.dtype.itemsize == 8, problem.devices
        totals = len(jax.tree.leaves(moving))
        copy = copy_share_back(program.closed, work, problem.length, problem.size, totals)
        # Several products are never as fast one after the other as a single one whose weights are near.
        kind = Kind.SMALL if work.small else Kind.OTHER
        options = {"spread": spread, "kind": kind, "double": double, "copy": copy, "prepared": prepared}
        self._layout = Layout(problem.length, problem.size, work, reverse=True, **options)

    @property
    def side_by_side(self) -> bool:
        """Whether the pass may be run in chunks."""
        return self._layout.grid(1) is not None

    def __call__(self, cotangent: Trajectory) -> tuple[Trajectory, Recurrence]:
        """``J^-T c``, and the cotangents of the recurrence's arrays that have a tangent.

        Args:
            cotangent: c, of the states ``[T D]``.
        """
        # The cotangent of the initial state is given by that of the first step alone.
        rows = (*self._rows, one_later(self._zero, cotangent, self._layout.spread))
        if self._layout.launched:
            # Sums over all steps would keep rows from being launched together.
            leave = _Leave(self._step)
            initial, y, _ = scan_blocks(leave, cotangent[-1], rows, self._layout)
            weights, inputs = leave.others(y, self._rows)
        else:
            initial, (y, inputs), weights = tally_blocks(self._step, cotangent[-1], rows, self._layout)
        left = eqx.tree_at(
            lambda problem: (problem.advance, problem.initial, problem.inputs),
            self._tangent,
            (weights, None if self._tangent.initial is None else initial, inputs),
            is_leaf=lambda leaf: leaf is None,
        )
        return y, left


def _partition(tree: Tree, tangent: Tree) -> tuple[Tree, Tree]:
    """The leaves of a tree that have a tangent, and those that have none."""
    moving = jax.tree.map(
        lambda change, leaf: None if change is None else leaf, tangent, tree, is_leaf=lambda leaf: leaf is None
    )
    fixed = jax.tree.map(
        lambda change, leaf: leaf if change is None else None, tangent, tree, is_leaf=lambda leaf: leaf is None
    )
    return moving, fixed
