"""Newton-type updates: one linear recurrence with the Jacobian, or with whatever stands in for it.

The update ``s_t' = f_t(s_{t-1}) + A_t (s'_{t-1} - s_{t-1})`` is solved for the correction ``d = s' - s``, which
obeys ``d_t = A_t d_{t-1} - r_t`` with ``d_0 = 0``. In this form a prefix that is already exact stays exact to the
last bit, because a zero residual gives a zero correction.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..linear import AbstractTransition
from ..problem.flat_recurrence import Recurrence
from ..solution import Trajectory
from .base import AbstractIterativeSolver, UpdateWork
from .linearizations import AbstractLinearization, Diagonal, Full, Identity, Zero
from .memory import TRANSITIONS, bytes_of
from .update import Iterate, newton_update


class Newton(AbstractIterativeSolver):
    """Newton's method on the whole trajectory, with a chosen linearization: DEER, quasi-DEER, Picard and Jacobi.

    Depth of an update is that of one linear recurrence; work and memory depend on the linearization. Causal:
    T iterations always suffice. Converges in about ``log(1/mu)`` iterations on predictable systems.

    Args:
        linearization: what stands in for the Jacobian, such as ``Full()`` or ``Diagonal()``.
        damping: k in ``(1 - k) A_t``, from 0 (none) to 1 (Jacobi); the published scale-ELK.
        clip: bound on the magnitude of every stored entry of ``A_t``, or None.

    Raises:
        TypeError: ``linearization`` is not one.
        ValueError: ``damping`` is outside [0, 1] or ``clip`` is not positive.

    Source: Lim et al. 2024 (DEER); Danieli et al. 2023 (DeepPCR); Gonzalez et al. 2024 (quasi-DEER, scale-ELK).

    Examples:
        >>> import jax.numpy as jnp, parascan as ps
        >>> newton = ps.Newton(ps.Full())
        >>> solution = ps.rollout(lambda s, x: 0.5 * s + x, jnp.zeros(2), jnp.ones((50, 2)), solver=newton)
        >>> int(solution.stats.iterations)
        1
    """

    linearization: AbstractLinearization
    damping: float | Float[Array, ""] = 0.0
    clip: float | None = None
    causal: ClassVar[bool] = True
    references: ClassVar[tuple[str, ...]] = ("lim2024deer", "danieli2023deeppcr", "gonzalez2024elk")

    def __check_init__(self) -> None:
        if not isinstance(self.linearization, AbstractLinearization):
            given = getattr(self.linearization, "__name__", type(self.linearization).__name__)
            raise TypeError(f"linearization: given {given}, expected one such as Full() or Diagonal().")
        if isinstance(self.damping, int | float) and not 0 <= self.damping <= 1:
            raise ValueError(f"damping: given {self.damping}, expected a number from 0 to 1.")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip: given {self.clip}, expected a positive number or None.")

    @property
    def exact(self) -> bool:
        """True for the undamped, unclipped Jacobian of the step itself."""
        undamped = isinstance(self.damping, int | float) and self.damping == 0
        return self.linearization.exact and undamped and self.clip is None

    def init(self, problem: Recurrence, states: Trajectory) -> Int[Array, ""]:
        """The number of updates made so far, from which random linearizations derive their keys."""
        return jnp.zeros((), jnp.int32)

    def step(self, problem: Recurrence, iterate: Iterate, state: Int[Array, ""]) -> tuple[Trajectory, Int[Array, ""]]:
        """The solution of the linearized recurrence."""
        return newton_update(self.transition(problem, iterate.states, state), iterate, problem.devices), state + 1

    def transition(self, problem: Recurrence, states: Trajectory, iteration: Int[Array, ""]) -> AbstractTransition:
        """What stands in for the Jacobians in an update: ``A_t`` after clipping and damping, zero where not finite.

        Args:
            problem: the recurrence.
            states: trajectory ``[T D]`` to linearize at.
            iteration: the number of updates made so far.
        """
        transition = self.linearization.transition(problem, states, iteration).guarded()
        if self.clip is not None:
            transition = transition.clip(self.clip)
        if not (isinstance(self.damping, int | float) and self.damping == 0):
            transition = transition.scale(1 - jnp.asarray(self.damping, problem.dtype))
        return transition

    def update_bytes(self, recurrence: Recurrence) -> int:
        """Bytes of one update, with what is stored of the Jacobians."""
        states = jax.ShapeDtypeStruct((recurrence.length, recurrence.size), recurrence.dtype)
        stored = jax.eval_shape(
            lambda recurrence, states: jax.tree.leaves(
                self.linearization.transition(recurrence, states, jnp.zeros((), jnp.int32)).slices
            ),
            recurrence,
            states,
        )
        known = {(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(recurrence.inputs)}
        # What a matrix-free transition keeps of the inputs are the inputs themselves.
        stored = [leaf for leaf in stored if (leaf.shape, leaf.dtype) not in known]
        return super().update_bytes(recurrence) + TRANSITIONS * bytes_of(stored)

    def update_work(self) -> UpdateWork:
        """The work of an update with the linearization."""
        return self.linearization.update_work()


def deer() -> Newton:
    """Newton with the full Jacobian: fewest iterations, ``T D^2`` memory where Jacobians are stored.

    Source: Lim et al. 2024; Danieli et al. 2023.
    """
    return Newton(Full())


def quasi_deer() -> Newton:
    """Newton with the Jacobian's diagonal: ``T D`` memory, more iterations than ``deer()``.

    Source: Gonzalez et al. 2024.
    """
    return Newton(Diagonal())


def picard() -> Newton:
    """Picard iteration, with the identity in place of the Jacobian: for systems that change little in a step.

    Source: Shih et al. 2023 (ParaDiGMS).
    """
    return Newton(Identity())


def jacobi() -> Newton:
    """Jacobi iteration, with zero in place of the Jacobian: for systems that forget their past in a few steps.

    Source: Song et al. 2021.
    """
    return Newton(Zero())


def scale_elk(k: float) -> Newton:
    """Newton with the Jacobian shrunk to ``(1 - k) J``: trades iterations for stability on growing systems.

    Args:
        k: shrinkage from 0 (Newton) to 1 (Jacobi), dimensionless.

    Source: Gonzalez et al. 2024.
    """
    return Newton(Full(), damping=k)
