"""What stands in for the Jacobian ``J_t = df_t/ds_{t-1}`` in a Newton-type update.

None of these changes the solution, only the number of iterations and the price of each: the update is a fixed point
exactly where the residual is zero, whatever ``A_t`` is.
"""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from ..linear import AbstractTransition, DiagonalTransition, ScalarTransition, ZeroTransition
from ..problem.arguments import check_counts
from ..problem.flat_recurrence import FlatStep, Recurrence
from ..problem.jacobian import FORMS, diagonal, full
from ..problem.signature import as_canonical
from ..programs.closure import close_over
from ..solution import StepFunction, Trajectory


class UpdateWork(NamedTuple):
    """What one update of a method takes, for the cost function.

    Attributes:
        columns: Jacobian-vector products at every step; None for as many as give the stored matrices.
        diagonal: whether the matrices of the linear recurrence are diagonal.
        linear: whether there is a linear recurrence at all.
        passes: cost of all linear recurrences of an update, in units of one.
    """

    columns: int | None = None
    diagonal: bool = False
    linear: bool = True
    passes: int = 1


class AbstractLinearization(eqx.Module):
    """A rule that gives a transition ``A_t`` for every step at the current states."""

    @property
    @abc.abstractmethod
    def exact(self) -> bool:
        """Whether the transition is the Jacobian of the step itself."""

    @abc.abstractmethod
    def transition(self, problem: Recurrence, states: Trajectory, iteration: Int[Array, ""]) -> AbstractTransition:
        """``A_t`` at ``states`` for all t."""

    def update_work(self) -> UpdateWork:
        """The work of an update: by default, that of whole Jacobians."""
        return UpdateWork()


class Full(AbstractLinearization):
    """The whole Jacobian: Newton's method proper.

    Args:
        form: ``"dense"`` stores ``[T, D, D]`` matrices, ``"matrix_free"`` only multiplies by them one step after
            the other, ``"structured"`` stores the diagonal or the blocks that the step is proved to have, and
            ``"auto"`` takes the cheapest of these for the platform, D and structure.

    Raises:
        ValueError: an unknown form.

    Source: Lim et al. 2024; Danieli et al. 2023.
    """

    form: str = eqx.field(static=True, default="auto")

    def __check_init__(self) -> None:
        if self.form not in FORMS:
            raise ValueError(f"form: given {self.form!r}, expected one of {', '.join(FORMS)}.")

    @property
    def exact(self) -> bool:
        """True."""
        return True

    def transition(self, problem: Recurrence, states: Trajectory, iteration: Int[Array, ""]) -> AbstractTransition:
        """The Jacobian of every step."""
        return full(problem, states, self.form)


class Diagonal(AbstractLinearization):
    """The exact diagonal of the Jacobian: quasi-Newton with ``T D`` memory.

    Never stores a dense Jacobian: state entries that provably do not influence one another share one
    Jacobian-vector product, so an elementwise step needs one and a dense one D, taken one after the other.

    Source: Gonzalez et al. 2024 (quasi-DEER).
    """

    @property
    def exact(self) -> bool:
        """False."""
        return False

    def transition(self, problem: Recurrence, states: Trajectory, iteration: Int[Array, ""]) -> AbstractTransition:
        """The diagonal of every step's Jacobian."""
        return DiagonalTransition(diagonal(problem, states))

    def update_work(self) -> UpdateWork:
        """The work of an update: as many products as give the diagonal."""
        return UpdateWork(diagonal=True)


def products(problem: Recurrence, states: Trajectory, vectors: Trajectory) -> Trajectory:
    """Products of the Jacobians with a vector for each step ``[T D]``.

    Args:
        problem: the recurrence.
        states: to linearize at.
        vectors: one for each step ``[T D]``.
    """
    advance = lambda previous: jax.vmap(problem.advance)(previous, problem.inputs)  # noqa: E731
    return jax.jvp(advance, (problem.previous(states),), (vectors,))[1]


class StochasticDiagonal(AbstractLinearization):
    """A random estimate of the Jacobian's diagonal, ``mean of v * (J v)`` over random signs v.

    Costs one Jacobian-vector product a probe whatever D is; the estimate's variance is the sum of the squared
    off-diagonal entries of a row, divided by the number of probes. New signs are drawn in every iteration.

    Args:
        key: random key of the draws.
        probes: number of sign vectors, one or more.

    Raises:
        ValueError: ``probes`` is below one.

    Source: Hutchinson 1989; Bekas et al. 2007; Zoltowski et al. 2025 for its use in parallel chains.
    """

    key: Key[Array, ""]
    probes: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        check_counts(probes=self.probes)

    @property
    def exact(self) -> bool:
        """False."""
        return False

    def transition(self, problem: Recurrence, states: Trajectory, iteration: Int[Array, ""]) -> AbstractTransition:
        """The estimated diagonal of every step's Jacobian."""
        shape = (self.probes, problem.length, problem.size)
        signs = jax.random.rademacher(jax.random.fold_in(self.key, iteration), shape, problem.dtype)

        def add(total: Trajectory, sign: Trajectory) -> tuple[Trajectory, None]:
            return total + sign * products(problem, states, sign), None

        total, _ = jax.lax.scan(add, jnp.zeros_like(states), signs)
        return DiagonalTransition(total / self.probes)

    def update_work(self) -> UpdateWork:
        """The work of an update: one product for each probe."""
        return UpdateWork(self.probes, diagonal=True)


class Identity(AbstractLinearization):
    """The identity: Picard iteration, no derivative of the step at all.

    Source: Shih et al. 2023.
    """

    @property
    def exact(self) -> bool:
        """False."""
        return False

    def transition(self, problem: Recurrence, states: Trajectory, iteration: Int[Array, ""]) -> AbstractTransition:
        """The identity at every step."""
        return ScalarTransition(jnp.ones((problem.length,), problem.dtype), problem.size)

    def update_work(self) -> UpdateWork:
        """The work of an update: no derivative, and a cumulative sum."""
        return UpdateWork(0, diagonal=True)


class Zero(AbstractLinearization):
    """Zero: Jacobi iteration, in which each state is the step applied to the previous iterate.

    Source: Song et al. 2021.
    """

    @property
    def exact(self) -> bool:
        """False."""
        return False

    def transition(self, problem: Recurrence, states: Trajectory, iteration: Int[Array, ""]) -> AbstractTransition:
        """Zero at every step."""
        return ZeroTransition(problem.length, problem.size, problem.dtype)

    def update_work(self) -> UpdateWork:
        """The work of an update: nothing beyond the step itself."""
        return UpdateWork(0, diagonal=True, linear=False)


class Surrogate(AbstractLinearization):
    """The linearization of another, smoother step, for steps that jump (a Metropolis accept) or cost much to derive.

    The answer stays that of the step itself; the surrogate only steers the iterations. Derivatives of the answer
    still use the step itself.

    Args:
        step: a step with the same carry and inputs, in either form.
        linearization: how the surrogate is linearized.

    Raises:
        TypeError: ``step`` is not callable, or returns neither form.
    """

    step: StepFunction
    linearization: AbstractLinearization = Full()

    def __check_init__(self) -> None:
        if not callable(self.step):
            raise TypeError(f"step: given {type(self.step).__name__}, expected a callable (state, x) -> state.")

    @property
    def exact(self) -> bool:
        """False."""
        return False

    def transition(self, problem: Recurrence, states: Trajectory, iteration: Int[Array, ""]) -> AbstractTransition:
        """The surrogate's transition at the states of the problem."""
        flat = problem.advance
        if not isinstance(flat, FlatStep):
            raise TypeError("Surrogate: given a recurrence without carry, expected one built from a scan.")
        state, inputs = jax.tree.map(lambda leaf: leaf[0], (problem.previous(states), problem.inputs))
        x, discrete = jax.eval_shape(lambda: inputs)
        carry = jax.eval_shape(flat.layout.unravel, state, discrete)
        step = close_over(as_canonical(self.step, carry, x), carry, x)
        frozen = jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_array(leaf) else leaf, step)
        surrogate = Recurrence(FlatStep(frozen, flat.layout), problem.initial, problem.inputs, problem.length)
        return self.linearization.transition(surrogate, states, iteration)

    def update_work(self) -> UpdateWork:
        """The work of an update with the surrogate's linearization."""
        return self.linearization.update_work()
