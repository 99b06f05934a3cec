"""How the answer is differentiated: by the implicit function theorem, never through the iterations by accident.

The trajectory solves ``s_t - f_t(s_{t-1}; p) = 0``, so ``ds_t = J_t ds_{t-1} + (df_t/dp) dp``: one linear recurrence
with the exact Jacobian at the answer, whatever method found the answer. Its transpose, again one linear recurrence,
is the reverse mode. The rule is stated on the answer itself, so it can be differentiated again.
"""

import abc
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from ..linear import AbstractTransition, DenseTransition, choose_backend, linear_recurrence
from ..problem.flat_recurrence import Recurrence
from ..problem.jacobian import full
from ..programs.platform import kernels_wanted
from ..solution import Trajectory
from .cotangents import Pullback

Loop: TypeAlias = Callable[[Callable[[Any], Bool[Array, ""]], Callable[[Any], Any], Any, int], Any]
"""A loop ``(condition, body, initial value, most repetitions) -> final value``; the adjoint chooses its form."""

Solve: TypeAlias = Callable[[Recurrence, Any, Loop], Any]
"""``(problem, request, loop) -> outcome``: iterates to the states of a problem, by the loop it is given."""

FEW = 8
"""Entries of a state up to which a tree of products of stored Jacobians moves little."""


class AbstractAdjoint(eqx.Module):
    """A way to differentiate a solve."""

    needs_budget: ClassVar[bool]

    @abc.abstractmethod
    def apply(self, problem: Recurrence, request: Any, solve: Solve) -> Any:
        """Solve so that derivatives of the states with respect to the problem are defined.

        Args:
            problem: the recurrence.
            request: what the call asks for, with ``batch``, the sequences that are known to run at once.
            solve: the solver.
        """


class Implicit(AbstractAdjoint):
    """Exact derivatives at the answer by one linear recurrence; nothing of the iterations is stored.

    Works in forward mode, reverse mode and to any order. Memory of the reverse pass is one step's residuals for
    all t, plus the Jacobians where these are stored.

    Source: implicit function theorem; Lim et al. 2024, appendix, for its form on sequences.
    """

    needs_budget: ClassVar[bool] = False

    def apply(self, problem: Recurrence, request: Any, solve: Solve) -> Any:
        """Iterate on constants, then attach the derivative."""
        outcome = self.find(problem, request, solve)
        states = attach(problem, jax.lax.stop_gradient(outcome.states), request.batch, False)
        return eqx.tree_at(lambda state: state.states, outcome, states)

    def find(self, problem: Recurrence, request: Any, solve: Solve) -> Any:
        """Solve on constants, so that the outcome has no derivative."""
        return solve(_constant(problem), request.with_constants(_constant), _while)


class Unrolled(AbstractAdjoint):
    """Derivatives of the iterations themselves, as autodiff of the loop gives them.

    For studying the methods: costs the memory of every iteration, and is exact only as far as the iterations have
    converged. Needs ``max_iterations``.
    """

    needs_budget: ClassVar[bool] = True

    def apply(self, problem: Recurrence, request: Any, solve: Solve) -> Any:
        """Iterate under autodiff."""
        return solve(problem, request, _bounded)


def _while(condition: Callable[[Any], Bool[Array, ""]], body: Callable[[Any], Any], init: Any, most: int) -> Any:
    """Repeat until the condition fails; the loop's own budget bounds it."""
    return jax.lax.while_loop(condition, body, init)


def _bounded(condition: Callable[[Any], Bool[Array, ""]], body: Callable[[Any], Any], init: Any, most: int) -> Any:
    """Repeat at most a fixed number of times, in a form that reverse mode can go through."""

    def repeat(state: Any, _: None) -> tuple[Any, None]:
        return jax.lax.cond(condition(state), body, lambda same: same, state), None

    return jax.lax.scan(repeat, init, None, length=most)[0]


def _constant(tree: Any) -> Any:
    """The tree with no derivative flowing through its arrays."""
    return jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_inexact_array(leaf) else leaf, tree)


@eqx.filter_custom_jvp
def attach(problem: Recurrence, states: Trajectory, batch: int, prepared: bool) -> Trajectory:
    """The solution's states, with the derivative that follows from their being the solution.

    Args:
        problem: the recurrence.
        states: its solution ``[T D]``.
        batch: sequences that are known to run at once.
        prepared: whether steps back that are taken one after the other find each step's linearization stored, as those
            of the plain loop do, and so take its memory; each computes its own otherwise.
    """
    return states


@attach.def_jvp
def _attach_jvp(primals: tuple[Recurrence, Trajectory, int, bool], tangents: Any) -> tuple[Trajectory, Trajectory]:
    """``ds_t = J_t ds_{t-1} + (df_t/dp) dp``, with ``dp`` the tangent of the whole problem."""
    problem, states, batch, prepared = primals
    answer = attach(problem, states, batch, prepared)
    if not any(leaf.size for leaf in jax.tree.leaves(tangents[0])):
        return answer, jnp.zeros_like(answer)
    transition = full(problem, answer)
    if batch == 1 and isinstance(transition, DenseTransition) and problem.size > FEW and kernels_wanted():
        # Rows back in time, a kernel for a stretch of them, move far less than a tree of products of matrices.
        transition = full(problem, answer, "matrix_free")
    if batch == 1 and choose_backend(transition, problem.length) == "contracting":
        pull = Pullback(problem, answer, tangents[0], prepared=prepared)
        # Where its steps follow one another, with linearizations stored, it was 1.3 to 2.3 times as fast as the plain
        # loop (cells of 11 to 23 units); a recurrence in chunks and one more pass for what drives it, 0.7 to 3.5.
        if prepared or pull.side_by_side:
            return answer, _in_one_system(problem, answer, tangents[0], transition, pull)
    return answer, linear_recurrence(transition, _drive(problem, answer, tangents[0]), mesh=problem.devices)


def _drive(problem: Recurrence, states: Trajectory, tangent: Recurrence) -> Trajectory:
    """``(df_t/dp) dp`` for all t."""
    drive = eqx.filter_jvp(lambda p: p.predictions_in_portions(states), (problem,), (tangent,))[1]
    # None where no next state depends on what moves, as behind a sign or a comparison.
    return jnp.zeros_like(states) if drive is None else drive


def _in_one_system(
    problem: Recurrence, states: Trajectory, tangent: Recurrence, transition: AbstractTransition, pull: Pullback
) -> Trajectory:
    """``ds`` and ``dp`` by one linear system with both as unknowns, so that one pass solves its transpose.

    ``[J -F; 0 1] (ds, dp) = (0, dp)`` with ``F = df/dp``; transposed, ``y = J^-T c`` leaves ``F^T y`` to ``dp``.
    """

    def product(unknown: tuple[Trajectory, Recurrence]) -> tuple[Trajectory, Recurrence]:
        ds, dp = unknown
        predictions = eqx.filter_jvp(lambda p, s: p.predictions_in_portions(s), (problem, states), (dp, ds))[1]
        return ds if predictions is None else ds - predictions, dp

    def solve(_: Any, rhs: tuple[Trajectory, Recurrence]) -> tuple[Trajectory, Recurrence]:
        drive, dp = rhs
        return linear_recurrence(transition, drive + _drive(problem, states, dp), mesh=problem.devices), dp

    def transpose_solve(_: Any, rhs: tuple[Trajectory, Recurrence]) -> tuple[Trajectory, Recurrence]:
        y, left = pull(rhs[0])
        return y, jax.tree.map(jnp.add, rhs[1], left)

    # Zero, but linear in the tangent, as the right-hand side of a linear solve that is transposed has to be.
    entry = next(jnp.real(leaf.ravel()[0]) for leaf in jax.tree.leaves(tangent) if leaf.size)
    zero = jnp.where(jnp.asarray(False), entry.astype(states.dtype), 0)
    rhs = (jnp.broadcast_to(zero, states.shape), tangent)
    return jax.lax.custom_linear_solve(product, rhs, solve, transpose_solve)[0]
