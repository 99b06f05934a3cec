"""First-order descent on the merit, embarrassingly parallel over time."""

from typing import Any, ClassVar, Protocol, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..problem.flat_recurrence import Recurrence
from ..solution import Trajectory, Tree
from .base import AbstractIterativeSolver
from .memory import states_bytes
from .update import Iterate


class GradientTransformation(Protocol):
    """The part of an optax gradient transformation that is used here."""

    init: Any
    update: Any


RATES = (4.0, 1.0, 0.25, 0.0625, 0.015625, 0.00390625)
"""Learning rates that steepest descent tries side by side, in units of the rate that was taken last."""


class GradientDescent(AbstractIterativeSolver):
    """Descent on ``1/2 ||r||^2`` by any optax transformation; ``J^T r`` is formed without the Jacobian.

    Depth one step of the system per iteration, memory ``T D``. Not causal: the number of iterations grows like
    ``1/mu``, and nothing guarantees an end, so prefer it only where a Newton step is out of reach.

    Without an optimizer it is steepest descent, whose learning rate is found anew in every iteration: six rates from
    four times the last one downwards are tried side by side and the one with the least merit is taken, so that the
    merit never rises.

    Args:
        optimizer: an optax transformation such as ``optax.sgd(0.25)`` or ``optax.adam(1e-2)``; None for steepest
            descent with a rate found on the way.

    Raises:
        TypeError: ``optimizer`` has no ``init`` and ``update``.

    Source: sections 2 and 5 of the paper (figure 6 uses plain descent).

    Examples:
        >>> import jax.numpy as jnp, optax, parascan as ps
        >>> descent = ps.GradientDescent(optax.sgd(0.8))
        >>> sol = ps.rollout(lambda s, x: 0.1 * s + x, jnp.zeros(2), jnp.ones((50, 2)), solver=descent)
        >>> bool(sol.result == ps.Result.successful)
        True
    """

    optimizer: GradientTransformation | None = None
    causal: ClassVar[bool] = False
    references: ClassVar[tuple[str, ...]] = ("gonzalez2025predictability",)

    def __check_init__(self) -> None:
        if self.optimizer is not None and not (hasattr(self.optimizer, "init") and hasattr(self.optimizer, "update")):
            given = type(self.optimizer).__name__
            raise TypeError(
                f"optimizer: given {given}, expected an optax transformation such as optax.sgd(0.25) or None."
            )

    @property
    def exact(self) -> bool:
        """A descent step says nothing about the error."""
        return False

    def init(self, problem: Recurrence, states: Trajectory) -> Tree:
        """The optimizer's own state, or the learning rate to start the search from."""
        if self.optimizer is None:
            return jnp.ones((), problem.dtype)
        return self.optimizer.init(states)

    def step(self, problem: Recurrence, iterate: Iterate, state: Any) -> tuple[Trajectory, Tree]:
        """One optimizer update along ``J^T r``, or the best of several plain ones."""
        if self.optimizer is None:
            return _searched(problem, iterate.states, state)
        # optax takes as long to import as JAX itself; whoever has an optimizer has paid for it already.
        import optax

        value, gradient = jax.value_and_grad(problem.merit)(iterate.states)
        update = optax.with_extra_args_support(cast(optax.GradientTransformation, self.optimizer)).update
        change, state = update(gradient, state, iterate.states, value=value, grad=gradient, value_fn=problem.merit)
        return jnp.asarray(optax.apply_updates(iterate.states, change)), state

    def update_bytes(self, recurrence: Recurrence) -> int:
        """Bytes of one update, with the trajectories that are tried side by side."""
        tried = 2 * len(RATES) if self.optimizer is None else 0
        return super().update_bytes(recurrence) + tried * states_bytes(recurrence)


def _searched(problem: Recurrence, states: Trajectory, rate: Float[Array, ""]) -> tuple[Trajectory, Float[Array, ""]]:
    """The lowest of the trajectories along the gradient, and its rate; the same trajectory where all are higher."""
    merit, gradient = jax.value_and_grad(problem.merit)(states)
    gradient = jnp.where(jnp.isfinite(gradient), gradient, 0.0)
    rates = rate * jnp.asarray(RATES, problem.dtype)
    points = states - rates[:, None, None] * gradient
    merits = jax.vmap(problem.merit)(points)
    merits = jnp.where(jnp.isfinite(merits), merits, jnp.inf)
    best = jnp.argmin(merits)
    lower = ~(merits[best] >= merit)
    return jnp.where(lower, points[best], states), jnp.where(lower, rates[best], rates[-1])
