"""The linearization of steps that take a proposal or stay, with a derivative of the decision."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from ..linear import AbstractTransition
from ..problem.flat_recurrence import Recurrence
from ..programs.closure import Function
from ..solution import Trajectory, Tree
from .linearizations import AbstractLinearization, Full, Surrogate, UpdateWork

DERIVATIVES = ("jump", "straight_through", "smooth")


class GatedStep(Function):
    """A step that takes a proposal or stays, whose decision has a derivative."""

    parts: Callable[[Any, Any], tuple[Tree, Array]]
    derivative: str = eqx.field(static=True)
    sharpness: Any

    def __call__(self, carry: Tree, x: Tree) -> Tree:
        """The next carry; leaves that are not floating are the proposal's."""
        proposal, margin = self.parts(carry, x)
        hard, soft = (margin > 0).astype(margin.dtype), jax.nn.sigmoid(self.sharpness * margin)
        weight = jax.lax.stop_gradient(hard)
        if self.derivative == "straight_through":
            weight += soft - jax.lax.stop_gradient(soft)
        elif self.derivative == "smooth":
            weight = soft

        def mixed(old: Array, new: Array) -> Array:
            if not jnp.issubdtype(jnp.result_type(new), jnp.inexact):
                return new
            # A proposal that is not finite is never taken, and would leave no derivative of staying.
            new = jnp.where(jnp.isfinite(new), new, old)
            return (old + weight * (new - old)).astype(jnp.result_type(old))

        return jax.tree.map(mixed, carry, proposal)


class Gate(AbstractLinearization):
    """The linearization of a step that takes a proposal or stays, such as an accept or reject of Metropolis.

    The step's own derivative is that of the branch that it takes: it does not see that the decision depends on the
    state. Here the decision is ``margin > 0``, and with ``w`` the sigmoid of ``sharpness * margin`` its derivative is

    - ``"jump"``: none, that of the branch taken: what ``Full()`` makes of ``jnp.where``;
    - ``"straight_through"``: the branch taken, and w's derivative times the way from state to proposal;
    - ``"smooth"``: the same, with both branches mixed by w.

    The answer does not depend on it, only the number of iterations. The margin is known for kernels of ``ps.mcmc``:
    ``ps.mcmc.Gate(kernel.gate)``.

    Args:
        parts: ``(carry, x) -> (proposal, margin)``: a tree like the carry, and a number that is positive where the
            step takes the proposal. It must be the step's own decision to be of use.
        derivative: ``"jump"``, ``"straight_through"`` or ``"smooth"``.
        sharpness: of the sigmoid, in 1/unit of the margin, positive.
        linearization: how the step with this decision is linearized, such as ``Full()`` or ``Diagonal()``.

    Raises:
        TypeError: ``parts`` is not callable, or ``linearization`` is not one.
        ValueError: an unknown derivative, or a sharpness that is not positive.

    Source: straight-through estimators, Bengio et al. 2013; for the decisions of parallel chains, Zoltowski et al.
    2025.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> kernel = ps.mcmc.mala(lambda x: -0.5 * jnp.sum(x**2), 0.3)
        >>> newton = ps.Newton(ps.mcmc.Gate(kernel.gate))
        >>> draws = ps.mcmc.sample(kernel, jnp.zeros(2), 100, key=jax.random.key(0), solver=newton)
        >>> draws.positions.shape
        (1, 100, 2)
    """

    parts: Callable[[Any, Any], tuple[Tree, Array]]
    derivative: str = eqx.field(static=True, default="straight_through")
    sharpness: float = 1.0
    linearization: AbstractLinearization = Full()

    def __check_init__(self) -> None:
        if not callable(self.parts):
            given = type(self.parts).__name__
            raise TypeError(f"parts: given {given}, expected a callable (carry, x) -> (proposal, margin).")
        if self.derivative not in DERIVATIVES:
            raise ValueError(f"derivative: given {self.derivative!r}, expected one of {', '.join(DERIVATIVES)}.")
        if isinstance(self.sharpness, int | float) and not self.sharpness > 0:
            raise ValueError(f"sharpness: given {self.sharpness}, expected a positive number.")
        if not isinstance(self.linearization, AbstractLinearization):
            given = getattr(self.linearization, "__name__", type(self.linearization).__name__)
            raise TypeError(f"linearization: given {given}, expected one such as Full() or Diagonal().")

    @property
    def exact(self) -> bool:
        """False."""
        return False

    def transition(self, problem: Recurrence, states: Trajectory, iteration: Int[Array, ""]) -> AbstractTransition:
        """The transition of the step with its decision's derivative."""
        gated = GatedStep(self.parts, self.derivative, self.sharpness)
        return Surrogate(gated, self.linearization).transition(problem, states, iteration)

    def update_work(self) -> UpdateWork:
        """The work of an update with the linearization within."""
        return self.linearization.update_work()
