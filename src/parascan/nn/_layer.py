"""A cell run over a sequence, in one direction: the layer that all others are made of."""

import abc
from collections.abc import Callable
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from ..adjoint.implicit import AbstractAdjoint, Implicit
from ..api.options import resolve_options
from ..api.rollout import rollout, scan
from ..planning import Plan
from ..solution import Solution, Tree
from ..solvers import AbstractSolver
from ..solvers.criterion import AbstractCriterion
from ._cell import AbstractCell
from ._checks import checked
from ._layer_settings import Settings
from ._marks import Marks, checked_marks, resets, row_before, where_rows


class AbstractLayer(eqx.Module):
    """A layer that maps a sequence to a sequence, and a state to a state."""

    def __call__(
        self,
        xs: Tree,
        state: Any = None,
        *,
        length: Any = None,
        mask: Any = None,
        starts: Any = None,
        guess: Any = None,
    ) -> tuple[Any, Any]:
        """Outputs of all steps, and the state after the last, from which a further call goes on.

        Batches come from ``jax.vmap``. Rows that are no inputs are put out as zeros and have no derivative.

        Args:
            xs: inputs ``[T, I]``.
            state: the state before the first step, as a call returned it; the cell's initial state when None.
            length: number of leading rows that are inputs, the rest being padding; may be traced.
            mask: True for rows that are inputs ``[T]``; at all other rows the state does not change. For padding at the
                end, ``length`` is faster, since chunks cannot forget a state that does not change.
            starts: True for rows that start a sequence of their own ``[T]``, from the cell's initial state, as ``pack``
                gives them; not together with ``length``.
            guess: first trajectory for an iterative solver, as the ``Solution`` of an earlier call; for a layer made
                of layers a tuple of these.

        Returns:
            ``(outputs, state)``.

        Raises:
            TypeError: inputs of another dtype than the weights.
            ValueError: shapes that do not fit.
            RolloutError: the solver did not succeed; ``equinox`` runtime error when called under a transformation.
        """
        outputs, state, _ = self.through(xs, state, checked_marks(xs, length, mask, starts), guess, run=_by_scan)
        return outputs, state

    def rollout(
        self,
        xs: Tree,
        state: Any = None,
        *,
        length: Any = None,
        mask: Any = None,
        starts: Any = None,
        guess: Any = None,
    ) -> tuple[Any, Any, Any]:
        """Outputs, state and the ``Solution``, which says how they were found and can be the guess of the next call.

        Args:
            xs: inputs ``[T, I]``.
            state: the state before the first step; the cell's initial state when None.
            length: number of leading rows that are inputs.
            mask: True for rows that are inputs ``[T]``.
            starts: True for rows that start a sequence of their own ``[T]``.
            guess: first trajectory for an iterative solver.

        Returns:
            ``(outputs, state, solution)``; the solution is a tuple of them for a layer made of layers.
        """
        return self.through(xs, state, checked_marks(xs, length, mask, starts), guess, run=_by_rollout)

    @abc.abstractmethod
    def through(self, xs: Tree, state: Any, marks: Marks, guess: Any, *, run: "Run") -> tuple[Any, Any, Any]:
        """Outputs, state and solution of checked arguments, every recurrence being run by ``run``."""

    @abc.abstractmethod
    def step(self, x: Tree, state: Any = None) -> tuple[Any, Any]:
        """Output and state after one more input, for inference as inputs arrive."""

    @abc.abstractmethod
    def using(self, solver: AbstractSolver | Plan | None) -> Self:
        """The same layer evaluated by another solver, such as ``ps.Sequential()``."""


class Recurrent(AbstractLayer):
    """A cell run over a sequence, in parallel over its length where that pays.

    Args:
        cell: one of this module's cells, or any other one through ``Custom``.
        solver: how the recurrence is evaluated, such as ``ps.deer()``; None for the library's default, chunks side by
            side where the cell forgets and one step after the other where it does not. Like all further arguments it is
            no leaf of the layer: gradients, weight decay and checkpoints see the weights alone.
        criterion: when iterations stop, of a solver that iterates; ``ps.StateError()`` when None.
        max_iterations: most iterations, of a solver that iterates; T when None.
        mesh: devices that the sequence is cut over along time, such as ``ps.every_core()``.
        reverse: run from the last input to the first.
        adjoint: how derivatives are taken; None for the solver's own way.

    Raises:
        TypeError: ``cell`` is not a cell, or ``solver`` is no solver.
        ValueError: an argument that the solver has no use for.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> layer = ps.nn.Recurrent(ps.nn.GRUCell(3, 8, key=jax.random.key(0)))
        >>> outputs, state = layer(jnp.ones((100, 3)))
        >>> more, state = layer(jnp.ones((50, 3)), state)
        >>> more.shape
        (50, 8)
    """

    cell: AbstractCell
    settings: Settings = eqx.field(static=True)
    reverse: bool = eqx.field(static=True)

    def __init__(
        self,
        cell: AbstractCell,
        solver: AbstractSolver | Plan | None = None,
        criterion: AbstractCriterion | None = None,
        max_iterations: int | None = None,
        mesh: Mesh | None = None,
        reverse: bool = False,
        adjoint: AbstractAdjoint | None = None,
    ) -> None:
        if not isinstance(cell, AbstractCell):
            given = getattr(cell, "__name__", type(cell).__name__)
            raise TypeError(f"cell: given {given}, expected a cell such as ps.nn.GRUCell(...), or ps.nn.Custom(cell).")
        options = {"criterion": criterion, "max_iterations": max_iterations, "mesh": mesh, "adjoint": adjoint}
        # As a call would refuse them, but where they are given.
        resolve_options(None, solver, criterion, max_iterations, None, adjoint, reverse, 1, False, mesh, None, 1)
        self.cell, self.reverse = cell, bool(reverse)
        self.settings = Settings(solver=solver, **options)

    @property
    def solver(self) -> AbstractSolver | Plan | None:
        """How the recurrence is evaluated."""
        return self.settings.values["solver"]

    def through(self, xs: Tree, state: Any, marks: Marks, guess: Any, *, run: "Run") -> tuple[Any, Any, Any]:
        """Outputs, state and solution."""
        xs, first, fresh = checked(self.cell, xs, state)
        rows = jax.tree.leaves(xs)[0].shape[0]
        cell = self.cell.ready()
        valid = marks.valid(rows)
        if valid is not None:
            # A row of padding may hold anything; what no derivative reaches must still be finite to be left out.
            xs = jax.tree.map(lambda leaf: where_rows(valid, leaf, jnp.zeros_like(leaf)), xs)
        anew = resets(marks, rows, self.reverse)
        step = _Step(cell, first if marks.length is not None else fresh)
        scanned = (cell.prepare(xs), anew, marks.mask)
        outputs, states, last, solution = run(self, step, first, scanned, guess, marks.length is not None)
        if marks.length is not None and not self.reverse:
            last = row_before(marks.length, states, first)
        if valid is not None:
            outputs = jax.tree.map(lambda leaf: where_rows(valid, leaf, jnp.zeros_like(leaf)), outputs)
        return outputs, last, solution

    def step(self, x: Tree, state: Any = None) -> tuple[Any, Any]:
        """Output and state after one more input ``[I]``.

        Args:
            x: the input.
            state: the state before it; the cell's initial state when None.
        """
        if self.reverse:
            raise ValueError("reverse: given a layer that starts at the last input, expected one that can be streamed.")
        xs, state, _ = checked(self.cell, jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], x), state, name="x")
        cell = self.cell.ready()
        drive = jax.tree.map(lambda leaf: leaf[0], cell.prepare(xs))
        state, output = cell.step(drive, state)
        return output, state

    def using(self, solver: AbstractSolver | Plan | None) -> Self:
        """The same layer evaluated by another solver.

        Args:
            solver: as in the constructor. One that has no use for the layer's criterion, number of iterations, mesh or
                adjoint runs without them.
        """
        kept = dict(self.settings.values)
        method = solver.solver if isinstance(solver, Plan) else solver
        if method is None or not method.iterates:
            kept.update(criterion=None, max_iterations=None)
            kept["adjoint"] = kept["adjoint"] if isinstance(kept["adjoint"], Implicit) else None
        return type(self)(self.cell, reverse=self.reverse, **{**kept, "solver": solver})


class _Step(eqx.Module):
    """A cell's step that also handles rows that start a sequence and rows that are no inputs."""

    cell: AbstractCell
    fresh: Tree

    def __call__(self, state: Tree, scanned: tuple[Tree, Any, Any]) -> tuple[Tree, Tree]:
        """The next state and the output."""
        drive, restart, valid = scanned
        if restart is not None:
            state = jax.tree.map(lambda fresh, old: jnp.where(restart, fresh, old), self.fresh, state)
        after, output = self.cell.step(drive, state)
        if valid is not None:
            after = jax.tree.map(lambda new, old: jnp.where(valid, new, old), after, state)
        return after, output


class _KeepingStep(eqx.Module):
    """A step with its new state among the outputs."""

    step: _Step

    def __call__(self, state: Tree, scanned: tuple[Tree, Any, Any]) -> tuple[Tree, tuple[Tree, Tree]]:
        """The next state, and the output with the next state."""
        after, output = self.step(state, scanned)
        return after, (output, after)


Run = Callable[[Recurrent, _Step, Tree, Tree, Any, bool], tuple[Tree, Tree, Tree, Solution | None]]
"""Outputs, states (where asked for), last state and solution of a recurrence."""


def _by_scan(
    layer: Recurrent, step: _Step, first: Tree, scanned: Tree, guess: Any, keep: bool
) -> tuple[Tree, Tree, Tree, Solution | None]:
    """The results by ``scan``, which holds no more memory than it returns."""
    last, ys = scan(
        _KeepingStep(step) if keep else step,
        first,
        scanned,
        reverse=layer.reverse,
        guess=guess,
        **layer.settings.values,
    )
    outputs, states = ys if keep else (ys, None)
    return outputs, states, last, None


def _by_rollout(
    layer: Recurrent, step: _Step, first: Tree, scanned: Tree, guess: Any, keep: bool
) -> tuple[Tree, Tree, Tree, Solution | None]:
    """The results by ``rollout``, with the states of all steps and the ``Solution``."""
    solution = rollout(
        step,
        first,
        scanned,
        reverse=layer.reverse,
        guess=guess,
        **layer.settings.values,
    )
    return solution.ys, solution.states, solution.carry, solution
