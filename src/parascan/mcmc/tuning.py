"""``tune``: the step size that gives the most effective samples for each step that has to follow another one."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Key

from ..problem.arguments import as_integer, check_counts
from ..solvers import Sequential
from .foretell import Foretold, foretell
from .kernel import AbstractKernel
from .sample import CHUNKS, sample
from .summary import effective_sample_size
from .warming import WarmUp

FACTORS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0)
"""Step sizes that are tried, in units of that of the warm-up."""


class Tried(NamedTuple):
    """What was seen at one step size.

    Attributes:
        step_size: that was tried.
        effective: effective samples per draw, of the worst coordinate.
        depth: steps that have to follow one another for the draws asked for.
        foretold: acceptance, exponent and meeting times.
    """

    step_size: float
    effective: float
    depth: float
    foretold: Foretold

    def rate(self, draws: int) -> float:
        """Effective samples for each step that follows another one.

        Args:
            draws: of the chain that is to be run.
        """
        return self.effective * draws / self.depth


class Tuned(eqx.Module):
    """The step size of choice, and what was seen of the others; printed, a table.

    Attributes:
        kernel: with the step size of choice.
        step_size: of choice.
        draws: length of the chain that it is for.
        tried: one row a step size, in ascending order.
    """

    kernel: AbstractKernel
    step_size: float = eqx.field(static=True)
    draws: int = eqx.field(static=True)
    tried: tuple[Tried, ...] = eqx.field(static=True)

    def __str__(self) -> str:
        lines = [
            f"step size {self.step_size:.3g} for {self.draws} draws; effective samples for each step after another"
        ]
        lines += [
            f"  {row.step_size:.3g}: {row.rate(self.draws):.3g} ({row.effective:.3g} a draw, {row.depth:.0f} steps, "
            f"acceptance {row.foretold.acceptance:.2f}, {row.foretold.verdict})"
            for row in self.tried
        ]
        return "\n".join(lines)


def tune(
    make: Callable[..., AbstractKernel],
    found: WarmUp,
    draws: int,
    *,
    key: Key[Array, ""],
    factors: Sequence[float] = FACTORS,
    pilot: int = 1000,
) -> Tuned:
    """The step size with the most effective samples per parallel depth, for a chain of a given length.

    The step size that mixes best draw for draw is not the one for chunks: where more proposals are taken, copies meet
    sooner, and chunks can be shorter. For a chain that ``foretell`` calls predictable, if it is long enough for chunks,
    the depth is that of one chunk and of the meeting of its copies; for any other chain it is the number of draws. Each
    step size takes a pilot chain and a forecast, which share one compiled program.

    Args:
        make: ``(step_size, scale) -> kernel``, as for ``warm_up``.
        found: what ``warm_up`` found; its scale stays.
        draws: length of the chain that is to be run.
        key: random key.
        factors: step sizes to try, in units of that of the warm-up, positive.
        pilot: draws of each pilot chain, 100 or more.

    Raises:
        TypeError: ``found`` is not what ``warm_up`` returns, or a number is no integer.
        ValueError: no factor, one that is not positive, or numbers out of their range.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> make = lambda h, scale: ps.mcmc.mala(lambda x: -0.5 * jnp.sum(x**2), h, scale)
        >>> found = ps.mcmc.warm_up(make, jnp.zeros(2), 100, key=jax.random.key(0))
        >>> tuned = ps.mcmc.tune(make, found, 20_000, key=jax.random.key(1), factors=(0.5, 1.0), pilot=200)
        >>> len(tuned.tried)
        2
    """
    if not isinstance(found, WarmUp):
        raise TypeError(f"found: given {type(found).__name__}, expected what ps.mcmc.warm_up returns.")
    draws, pilot = as_integer(draws), as_integer(pilot)
    check_counts(draws=draws, pilot=pilot)
    if pilot < 100:
        raise ValueError(f"pilot: given {pilot}, expected 100 or more.")
    if not len(factors) or not all(factor > 0 for factor in factors):
        raise ValueError(f"factors: given {tuple(factors)}, expected one positive number or more.")
    position = jax.tree.map(lambda leaf: leaf[0], found.positions)
    rows = []
    for factor in sorted(factors):
        kernel = make(found.step_size * factor, found.scale)
        seen = foretell(kernel, position, key=key, draws=pilot, pairs=8)
        chain = sample(kernel, position, pilot, key=key, solver=Sequential()).positions
        flat = jax.vmap(lambda row: ravel_pytree(row)[0])(jax.tree.map(lambda leaf: leaf[0], chain))
        worst = float(np.nanmin(np.asarray(effective_sample_size(flat[None]), float)))
        rows.append(Tried(float(found.step_size) * float(factor), worst / pilot, _depth(seen, draws), seen))
    best = max(range(len(rows)), key=lambda index: rows[index].rate(draws))
    return Tuned(make(jnp.asarray(rows[best].step_size), found.scale), rows[best].step_size, draws, tuple(rows))


def _depth(seen: Foretold, draws: int) -> float:
    """Steps that have to follow one another, in chunks where these are long enough."""
    if seen.verdict != "predictable" or draws < seen.shortest:
        return float(draws)
    return draws / CHUNKS + seen.meeting[2]
