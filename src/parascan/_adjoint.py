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

from ._iterate import Loop, LoopState
from ._jacobian import full
from ._problem import Recurrence
from ._types import Trajectory
from .linear import linear_recurrence
from .solvers import AbstractIterativeSolver


class Setup(eqx.Module):
    """What a solve starts from beside the problem; none of it decides the answer."""

    solver: AbstractIterativeSolver
    start: Trajectory
    repair: Trajectory


Run: TypeAlias = Callable[[Recurrence, Setup, Loop], LoopState]
"""Iterates to the answer of a problem from a setup, with a way to repeat."""


class AbstractAdjoint(eqx.Module):
    """A way to differentiate a solve."""

    needs_budget: ClassVar[bool]

    @abc.abstractmethod
    def apply(self, problem: Recurrence, setup: Setup, run: Run) -> LoopState:
        """Run the solve so that derivatives of its states with respect to the problem are defined."""


class Implicit(AbstractAdjoint):
    """Exact derivatives at the answer by one linear recurrence; nothing of the iterations is stored.

    Works in forward mode, reverse mode and to any order. Memory of the reverse pass is one step's residuals for
    all t, plus the Jacobians where these are stored.

    Source: implicit function theorem; Lim et al. 2024, appendix, for its form on sequences.
    """

    needs_budget: ClassVar[bool] = False

    def apply(self, problem: Recurrence, setup: Setup, run: Run) -> LoopState:
        """Iterate on constants, then attach the derivative."""
        outcome = run(_constant(problem), _constant(setup), _while)
        states = attach(problem, jax.lax.stop_gradient(outcome.states))
        return eqx.tree_at(lambda state: state.states, outcome, states)


class Unrolled(AbstractAdjoint):
    """Derivatives of the iterations themselves, as autodiff of the loop gives them.

    For studying the methods: costs the memory of every iteration, and is exact only as far as the iterations have
    converged. Needs ``max_iterations``.
    """

    needs_budget: ClassVar[bool] = True

    def apply(self, problem: Recurrence, setup: Setup, run: Run) -> LoopState:
        """Iterate under autodiff."""
        return run(problem, setup, _bounded)


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
def attach(problem: Recurrence, states: Trajectory) -> Trajectory:
    """The solution's states, with the derivative that being the solution implies."""
    return states


@attach.def_jvp
def _attach_jvp(primals: tuple[Recurrence, Trajectory], tangents: tuple[Any, Any]) -> tuple[Trajectory, Trajectory]:
    """``ds_t = J_t ds_{t-1} + (df_t/dp) dp``, with ``dp`` the tangent of the whole problem."""
    problem, states = primals
    answer = attach(problem, states)
    drive = eqx.filter_jvp(lambda p: p.images_in_portions(answer), (problem,), (tangents[0],))[1]
    if drive is None:
        return answer, jnp.zeros_like(answer)
    return answer, linear_recurrence(full(problem, answer), drive)
