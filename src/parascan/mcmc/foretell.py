"""``foretell``: whether a chain can be run in parallel over its length, seen on a few pairs of short chains."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key

from ..diagnostics.growth.coupling import Coupling, coupled, until_met
from ..problem.arguments import as_integer, check_counts
from ..solution import Tree
from .kernel import AbstractKernel, refuse_other
from .sample import CHUNKS, checked_positions, noise_of

STUCK = 0.01
"""Mean probability of acceptance below which a chain counts as stuck."""

MET = 64
"""Units of rounding of the largest entry within which a pair counts as met."""

CLOSE = 0.2
"""Distance below which a pair counts as near, in units of the first distance of a usual pair."""

MARGIN = 5
"""Steps of a chunk, in units of those in which the slowest of the pairs met."""


class Foretold(eqx.Module):
    """What pairs of chains with shared noise showed; printed, a few sentences.

    Attributes:
        verdict: ``"predictable"``, ``"stuck"``, ``"does not contract"`` or ``"undetermined"``.
        acceptance: mean probability of acceptance.
        coupling: what became of the pairs, as ``ps.diagnose`` has it: the coupling exponent, which sees decisions where
            tangents do not, with its interval, and how many met.
        meeting: steps after which the first pair met, half of them, and the last; infinite where they did not.
        draws: length of each chain.
    """

    verdict: str = eqx.field(static=True)
    acceptance: float = eqx.field(static=True)
    coupling: Coupling = eqx.field(static=True)
    meeting: tuple[float, float, float] = eqx.field(static=True)
    draws: int = eqx.field(static=True)

    @property
    def exponent(self) -> float:
        """The coupling exponent, per step."""
        return float(self.coupling.rate.value)

    @property
    def met(self) -> float:
        """Part of the pairs that met."""
        return float(self.coupling.met)

    @property
    def shortest(self) -> float:
        """Draws from which on chunks are long enough: a third of each may go to meeting, and some pairs are slower yet.

        Whether chunks are accepted is judged by the call itself (docs/acceptance.md), which may ask for more.
        """
        return CHUNKS * MARGIN * self.meeting[2]

    def __str__(self) -> str:
        first = f"{self.verdict}: mean acceptance {self.acceptance:.2f}, coupling exponent {self.exponent:.3g} per step"
        if self.verdict == "stuck":
            return f"{first}\n  proposals are refused: a smaller step size, or a scale from ps.mcmc.warm_up"
        if self.verdict == "predictable":
            low, middle, high = self.meeting
            return (
                f"{first}\n  pairs that share their noise meet after {low:.0f} to {high:.0f} steps, half of them by "
                f"{middle:.0f}\n  from {self.shortest:.0f} draws on chains are long enough for chunks side by side"
            )
        reason = f"{self.met:.0%} of the pairs met within {self.draws} steps"
        if self.verdict == "does not contract":
            return f"{first}\n  {reason}, and their distance hardly falls: run many chains, step by step"
        return f"{first}\n  {reason}: ask for more draws"


def foretell(
    kernel: AbstractKernel, position: Tree, *, key: Key[Array, ""], draws: int = 1000, pairs: int = 16
) -> Foretold:
    """Whether chains of a kernel come together under shared noise, and after how many steps.

    Twice as many chains as pairs are run for ``draws`` steps, each with its own noise. Every two of them make a pair,
    which goes on with one noise for both from where they are: where the chain spends its time.

    Args:
        kernel: such as ``mala(log_density, step_size)``.
        position: where to begin.
        key: random key.
        draws: steps to bring the pairs to where the chain stays, and steps to follow them.
        pairs: how many pairs.

    Raises:
        TypeError: ``kernel`` is no kernel, or a number no integer.
        ValueError: a number below one, or a position that is not floating or not finite.

    Source: coupling by shared noise, Propp and Wilson 1996; the verdict's use, section 6 of the paper.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> kernel = ps.mcmc.mala(lambda x: -0.5 * jnp.sum(x**2), 0.5)
        >>> ps.mcmc.foretell(kernel, jnp.zeros(2), key=jax.random.key(0)).verdict
        'predictable'
    """
    refuse_other(kernel)
    draws, pairs = as_integer(draws), as_integer(pairs)
    check_counts(draws=draws, pairs=pairs)
    coupling, meeting, acceptance = _follow(kernel, checked_positions(position), draws, pairs, key)
    # Plain numbers, so that records of chains can be part of what is static.
    coupling = jax.tree.map(float, coupling)
    verdict = _verdict(coupling, float(acceptance))
    low, middle, high = map(float, meeting)
    return Foretold(verdict, float(acceptance), coupling, (low, middle, high), draws)


@eqx.filter_jit
def _follow(
    kernel: AbstractKernel, position: Tree, draws: int, pairs: int, key: Key[Array, ""]
) -> tuple[Coupling, Float[Array, " 3"], Float[Array, ""]]:
    """What the pairs do, the steps after which the first, half of them and the last met, and the mean acceptance."""
    first, second = jax.random.split(key)

    def settle(key: Array) -> tuple[Tree, Array]:
        noise = noise_of(kernel, key, position, jnp.zeros((), jnp.int32), draws)
        return jax.lax.scan(lambda place, noise: _step(kernel, place, noise), position, noise)

    def flat(place: Tree) -> Array:
        return ravel_pytree(place)[0]

    def follow(pair: Tree, key: Array) -> Float[Array, " draw"]:
        def one(pair: Tree, noise: Tree) -> tuple[Tree, Array]:
            left, right = map(flat, pair)
            unit = MET * jnp.finfo(left.dtype).eps * jnp.maximum(jnp.max(jnp.abs(left)), 1e-30)
            after = tuple(_step(kernel, place, noise)[0] for place in pair)
            return after, jnp.max(jnp.abs(left - right)) / unit

        noise = noise_of(kernel, key, position, jnp.zeros((), jnp.int32), draws)
        return jax.lax.scan(one, pair, noise)[1]

    places, acceptance = jax.vmap(settle)(jax.random.split(first, 2 * pairs))
    halves = [jax.tree.map(lambda leaf, half=half: leaf[half::2], places) for half in (0, 1)]
    apart = jax.vmap(follow)(tuple(halves), jax.random.split(second, pairs))
    met_below = jnp.ones(pairs, apart.dtype)
    _, steps, met = until_met(apart, met_below)
    meeting = jnp.sort(jnp.where(met, steps, jnp.inf))[jnp.asarray([0, pairs // 2, -1])]
    close = CLOSE * jnp.median(apart[:, 0])
    return coupled(apart, met_below, met_below[0], close), meeting, acceptance.mean()


def _step(kernel: AbstractKernel, position: Tree, noise: Tree) -> tuple[Tree, Array]:
    """The next position, and the probability of acceptance."""
    after, info = kernel(position, noise)
    return after, info.acceptance


def _verdict(coupling: Coupling, acceptance: float) -> str:
    """The verdict from what the pairs did."""
    if acceptance < STUCK:
        return "stuck"
    if coupling.meets:
        return "predictable"
    return "does not contract" if coupling.stays else "undetermined"
