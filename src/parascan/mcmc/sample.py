"""``sample``: several chains of a kernel, each in parallel over its length where it forgets its start."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, Key

from ..api.explain import explain
from ..api.extras import missing
from ..api.rollout import scan
from ..chunked import SHORTEST_BLOCK
from ..problem.arguments import as_arrays, as_integer, check_counts
from ..solution import StepFunction, Tree
from ..solvers import AbstractSolver, Chunked
from .kernel import AbstractKernel, refuse_other
from .summary import Summary, name_of, summarize

CHUNKS, PARTS_OF_TRIAL = 32, 6
"""Chunks of a chain: enough to fill the vectors of most processors, and few, which leaves time to forget; and the part
of a chunk after which copies that are not on their way are given up."""


class Draws(eqx.Module):
    """The positions of some chains, and how they came about.

    Attributes:
        positions: tree like a position, each leaf ``[chain, draw, ...]``.
        accepted: whether each proposal was taken ``[chain, draw]``.
        acceptance: probability with which it was to be taken ``[chain, draw]``.
        divergent: whether it diverged ``[chain, draw]``.
        kernel: that made them.
        key: random key from which the noise was drawn.
        drawn: number of draws of each chain that earlier calls made, and this one began after.
    """

    positions: Tree
    accepted: Bool[Array, "chain draw"]
    acceptance: Float[Array, "chain draw"]
    divergent: Bool[Array, "chain draw"]
    kernel: AbstractKernel
    key: Key[Array, ""]
    drawn: Int[Array, ""]

    @property
    def last(self) -> Tree:
        """The last position of each chain ``[chain, ...]``."""
        return jax.tree.map(lambda leaf: leaf[:, -1], self.positions)

    def resume(self, draws: int, *, solver: AbstractSolver | None = None) -> "Draws":
        """Further draws of the same chains: together they are those of one longer call.

        Args:
            draws: how many of each chain.
            solver: as for ``sample``.
        """
        done = self.drawn + self.accepted.shape[1]
        return _chains(self.kernel, self.last, _checked(draws), self.key, done, solver)

    def summary(self) -> Summary:
        """Mean, deviation, R-hat and effective sample size of each entry of the position."""
        return summarize(self.positions, self.acceptance, self.divergent)

    def to_arviz(self) -> Any:
        """An ArviZ data tree with the groups ``posterior`` and ``sample_stats``.

        Raises:
            ImportError: ``arviz-base`` is not installed.
        """
        try:
            from arviz_base import from_dict  # pyright: ignore[reportMissingImports]  # not installed everywhere
        except ImportError as error:
            raise ImportError(missing("arviz-base", "to_arviz needs", "mcmc")) from error
        named = jax.tree_util.tree_flatten_with_path(self.positions)[0]
        posterior = {name_of(path): leaf for path, leaf in named}
        stats = {"acceptance_rate": self.acceptance, "diverging": self.divergent}
        return from_dict({"posterior": posterior, "sample_stats": stats})


def sample(
    kernel: AbstractKernel,
    positions: Tree,
    draws: int,
    *,
    key: Key[Array, ""],
    chains: int | None = None,
    solver: AbstractSolver | None = None,
) -> Draws:
    """Draws of one or several chains of a kernel.

    The noise of draw t of chain c follows from the key, c and t alone. Every solver gives the same chains, up to
    rounding and to decisions that rounding turns. Without one, each chain is run in chunks side by side where two
    copies with the same noise come together, and step by step elsewhere.

    Args:
        kernel: such as ``mala(log_density, step_size)``.
        positions: where the chains start: a position, or one for each chain with a leading axis where ``chains`` is
            given.
        draws: of each chain, one or more.
        key: random key.
        chains: how many chains start from ``positions``; None for a single one, whose start has no leading axis.
        solver: how to run a chain, as for ``ps.scan``; None for chunks.

    Returns:
        The draws, with leading axes chain and draw.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: ``draws`` or ``chains`` below one, a start with leaves that are not floating or not finite, or whose
            leading axis is not ``chains``.

    Source: chains in parallel over their length, Zoltowski et al. 2025; shared noise, Propp and Wilson 1996.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> kernel = ps.mcmc.mala(lambda x: -0.5 * jnp.sum(x**2), 0.5)
        >>> draws = ps.mcmc.sample(kernel, jnp.zeros((4, 3)), 500, key=jax.random.key(0), chains=4)
        >>> draws.resume(500).positions.shape
        (4, 500, 3)
    """
    refuse_other(kernel)
    positions = starts_of(positions, chains)
    return _chains(kernel, positions, _checked(draws), key, jnp.zeros((), jnp.int32), solver)


def starts_of(positions: Tree, chains: int | None) -> Tree:
    """Where chains start, with the leading axis of the chains.

    Args:
        positions: what the user gave.
        chains: how many chains; None for a single one, whose start has no leading axis.

    Raises:
        TypeError: ``chains`` is no integer.
        ValueError: ``chains`` is below one, or the positions are of the wrong form.
    """
    positions = checked_positions(positions)
    if chains is None:
        return jax.tree.map(lambda leaf: leaf[None], positions)
    count = as_integer(chains)
    check_counts(chains=count)
    for leaf in jax.tree.leaves(positions):
        if leaf.shape[:1] != (count,):
            raise ValueError(f"positions: given a leaf of shape {list(leaf.shape)}, expected [{count}, ...].")
    return positions


def checked_positions(positions: Tree) -> Tree:
    """Positions as arrays.

    Args:
        positions: what the user gave.

    Raises:
        ValueError: there is no leaf, or one that is not floating or not finite.
    """
    positions = as_arrays("positions", positions)
    leaves = jax.tree.leaves(positions)
    if not leaves:
        raise ValueError("positions: given a tree without arrays, expected one or more.")
    for leaf in leaves:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(f"positions: given a leaf of dtype {leaf.dtype}, expected floating leaves.")
        if not isinstance(leaf, Tracer) and not np.isfinite(np.asarray(leaf)).all():
            raise ValueError("positions: given entries that are not finite, expected finite ones.")
    # Python numbers are weakly typed, and their first step would change their type.
    return jax.tree.map(lambda leaf: jax.lax.convert_element_type(leaf, leaf.dtype), positions)


def _checked(draws: Any) -> int:
    """A number of draws."""
    draws = as_integer(draws)
    check_counts(draws=draws)
    return draws


def noise_of(kernel: AbstractKernel, key: Key[Array, ""], position: Tree, first: Int[Array, ""], draws: int) -> Tree:
    """The noise of some transitions of a chain ``[draw, ...]``, that of each from its number alone.

    Args:
        kernel: whose noise.
        key: of the chain.
        position: of the chain.
        first: number of the first transition.
        draws: how many.
    """
    keys = jax.vmap(partial(jax.random.fold_in, key))(first + jnp.arange(draws))
    return jax.vmap(lambda each: kernel.noise(each, position))(keys)


@eqx.filter_jit
def _chains(
    kernel: AbstractKernel,
    positions: Tree,
    draws: int,
    key: Key[Array, ""],
    drawn: Int[Array, ""],
    solver: AbstractSolver | None,
) -> Draws:
    """The draws of all chains from their positions."""

    def step(position: Tree, noise: Tree) -> tuple[Tree, Any]:
        after, info = kernel(position, noise)
        return after, (after, info)

    def chain(number: Array, position: Tree) -> Any:
        noise = noise_of(kernel, jax.random.fold_in(key, number), position, drawn, draws)
        chosen = _few_long_chunks(step, position, noise, draws, count) if solver is None else solver
        return scan(step, position, noise, solver=chosen)[1]

    count = jax.tree.leaves(positions)[0].shape[0]
    if count == 1:
        one = chain(jnp.asarray(0), jax.tree.map(lambda leaf: leaf[0], positions))
        found, info = jax.tree.map(lambda leaf: leaf[None], one)
    else:
        found, info = jax.vmap(chain)(jnp.arange(count), positions)
    return Draws(found, info.accepted, info.acceptance, info.divergent, kernel, key, drawn)


def _few_long_chunks(step: StepFunction, position: Tree, noise: Tree, draws: int, chains: int) -> Chunked | None:
    """The default's way with few chunks, since chains forget late; None where the default would not run chunks."""
    if draws < CHUNKS * SHORTEST_BLOCK or explain(step, position, noise, batch=chains).way != "chunks":
        return None
    return Chunked(chunks=CHUNKS, trial_steps=draws // CHUNKS // PARTS_OF_TRIAL, visited=True)
