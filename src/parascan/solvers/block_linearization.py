"""Small blocks of the Jacobian, for states made of parts of one size such as positions and momenta."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from ..linear import AbstractTransition, BlockTransition
from ..problem.arguments import check_counts
from ..problem.flat_recurrence import Recurrence
from ..problem.jacobian import block_diagonal, interleaved
from ..solution import Trajectory
from .linearizations import AbstractLinearization, UpdateWork, products


class BlockDiagonal(AbstractLinearization):
    """The blocks of the Jacobian that couple entry i of every part of the state: ``T D k`` memory.

    A state of k parts of one size, one after the other in the flat state: position and momentum of a leapfrog step
    (k = 2), cell and hidden value of an LSTM. A diagonal of such a step leaves out what moves it.

    Exact without a key: entries that provably do not influence one another share k Jacobian-vector products, so a step
    that acts on each place alone needs k and a dense one D. With a key the blocks are estimated from random signs,
    ``probes * k`` products whatever D is, drawn anew in every iteration; their variance is as for
    ``StochasticDiagonal``.

    Args:
        size: k, the number of parts and the size of a block, two or more; it must divide the size of the state.
        key: random key; None for exact blocks.
        probes: number of sign vectors where a key is given, one or more.

    Raises:
        TypeError: a number is no integer.
        ValueError: ``size`` is below two, does not divide the size of the state, or ``probes`` is below one.

    Source: Zoltowski et al. 2025, whose block quasi-Newton method for leapfrog steps has k = 2; Bekas et al. 2007 for
    the random signs.

    Examples:
        >>> import jax.numpy as jnp, parascan as ps
        >>> def leapfrog(state, _):
        ...     place, momentum = state
        ...     momentum = momentum - 0.05 * jnp.sin(place)
        ...     place = place + 0.1 * momentum
        ...     return place, momentum - 0.05 * jnp.sin(place)
        >>> newton = ps.Newton(ps.mcmc.BlockDiagonal(2))
        >>> solution = ps.rollout(leapfrog, (jnp.ones(3), jnp.zeros(3)), length=100, solver=newton)
        >>> int(solution.stats.iterations) < 20
        True
    """

    size: int = eqx.field(static=True)
    key: Key[Array, ""] | None = None
    probes: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        check_counts(size=self.size, probes=self.probes)
        if self.size < 2:
            raise ValueError(f"size: given {self.size}, expected two or more; Diagonal() has blocks of one.")

    @property
    def exact(self) -> bool:
        """False."""
        return False

    def transition(self, problem: Recurrence, states: Trajectory, iteration: Int[Array, ""]) -> AbstractTransition:
        """The blocks of every step's Jacobian."""
        if problem.size % self.size:
            raise ValueError(f"size: given {self.size} for a state of {problem.size} entries, expected a divisor.")
        if self.key is None:
            return block_diagonal(problem, states, self.size)
        members = interleaved(problem.size, self.size)
        shape = (self.probes, problem.length, len(members))
        signs = jax.random.rademacher(jax.random.fold_in(self.key, iteration), shape, problem.dtype)
        parts = jnp.asarray(np.eye(self.size), problem.dtype)

        def add(total: Array, sign: Array) -> tuple[Array, None]:
            # A sign for each block, at one entry of it after the other.
            def column(part: Array) -> Array:
                flat = jnp.zeros_like(states).at[:, members].set(sign[:, :, None] * part)
                return sign[:, :, None] * products(problem, states, flat)[:, members]

            return total + jnp.moveaxis(jax.lax.map(column, parts), 0, -1), None

        start = jnp.zeros((problem.length, *members.shape, self.size), problem.dtype)
        total, _ = jax.lax.scan(add, start, signs)
        return BlockTransition(total / self.probes, members)

    def update_work(self) -> UpdateWork:
        """The work of an update: the products, and a recurrence of k numbers for each entry."""
        columns = None if self.key is None else self.probes * self.size
        return UpdateWork(columns, diagonal=True, passes=self.size)
