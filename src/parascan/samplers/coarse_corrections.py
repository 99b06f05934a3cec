"""A coarse start with iterated corrections: parareal over the noise levels of a sampler."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..problem.arguments import check_counts
from .fine_steps import Inputs, Sampler, advanced


class Parareal(eqx.Module):
    """Blocks of steps in the place of a solver: a coarse start whose block ends are corrected until they are right.

    The coarse sampler asks the network once for each block, one block after the other. In each round all blocks are
    run side by side with all their steps, and the coarse sampler goes on from there with what they found added to what
    it said itself. A block end that is within tolerance stays, and the one after it is exact, so that there are at most
    as many rounds as blocks. A round takes ``T / blocks + blocks - 1`` evaluations in sequence, each of ``blocks``
    states or one; about the square root of T blocks take fewest. It has no reverse derivative.

    Args:
        blocks: their number, one or more; as many as steps where there are fewer steps.

    Raises:
        TypeError: ``blocks`` is no integer.
        ValueError: ``blocks`` is below one.

    Source: Selvam et al. 2024 (SRDS); Lions, Maday and Turinici 2001 (parareal).

    Examples:
        >>> import jax.numpy as jnp, parascan as ps
        >>> sampler = ps.samplers.ddim(lambda x, t: jnp.tanh(x), ps.samplers.cosine_levels(64))
        >>> found = ps.samplers.sample(sampler, jnp.ones(3), solver=ps.samplers.Parareal(8), bound=False)
        >>> int(found.evaluations) < 64
        True
    """

    blocks: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        check_counts(blocks=self.blocks)


class Corrected(NamedTuple):
    """What one round hands to the next.

    Attributes:
        starts: of all blocks ``[N ...]``.
        said: where the coarse sampler led from each start but the last ``[N-1 ...]``.
        states: after all steps of all blocks, from the starts ``[N B ...]``.
        accepted: number of leading starts that stay as they are.
        rounds: made so far.
    """

    starts: Float[Array, "N ..."]
    said: Float[Array, "N-1 ..."]
    states: Float[Array, "N B ..."]
    accepted: Int[Array, ""]
    rounds: Int[Array, ""]


def through_blocks(
    sampler: Sampler, x: Float[Array, "..."], inputs: Inputs, blocks: int, allowed: Float[Array, " T"]
) -> tuple[Float[Array, "T ..."], Int[Array, ""]]:
    """States of all steps, and the evaluations of the network that followed one another.

    What is returned is the sampler's own recurrence but for one jump at the end of each block, whose root mean square
    is at most what is allowed for its last step.

    Args:
        sampler: whose steps.
        x: the first state.
        inputs: of all steps.
        blocks: their number, at most T.
        allowed: root mean square that the residual of a step may have ``[T]``.
    """
    length = sampler.steps
    each = -(-length // blocks)
    count = -(-length // each)
    cut = _in_blocks(inputs, count, each)
    last_steps = (jnp.arange(count) + 1) * each - 1

    def coarse(state: Array, block: Inputs) -> Array:
        answer = sampler.eps(state, block.time[0]).astype(x.dtype)
        return jax.lax.scan(lambda s, given: (advanced(s, answer, given), None), state, block)[0]

    def fine(state: Array, block: Inputs) -> Array:
        def one(state: Array, given: Inputs) -> tuple[Array, Array]:
            after = sampler(state, given)
            return after, after

        return jax.lax.scan(one, state, block)[1]

    def sweep(known: Bool[Array, " N-1"], ends: Array, before: Array) -> tuple[Array, Array]:
        """Starts of all blocks, and where the coarse sampler leads from all but the last; after known ones the ends."""

        def one(state: Array, row: tuple[Inputs, Array, Array, Array]) -> tuple[Array, tuple[Array, Array]]:
            block, kept, end, earlier = row
            led = coarse(state, block)
            after = jnp.where(kept, end, led + (end - earlier))
            return after, (after, led)

        rows = jax.tree.map(lambda leaf: leaf[:-1], cut), known, ends, before
        starts, led = jax.lax.scan(one, x, rows)[1]
        return jnp.concatenate([x[None], starts]), led

    def judged(starts: Array, said: Array, rounds: Array, known: Array) -> Corrected:
        states = jax.vmap(fine)(starts, cut)
        gaps = (starts[1:] - states[:-1, -1]).reshape(count - 1, x.size)
        within = jnp.sqrt(jnp.mean(gaps**2, axis=1)) <= allowed[last_steps[:-1]]
        leading = jnp.cumprod((within | (jnp.arange(1, count) < known)).astype(jnp.int32))
        return Corrected(starts, said, states, 1 + jnp.sum(leading, dtype=jnp.int32), rounds)

    def turn(found: Corrected) -> Corrected:
        ends, following = found.states[:-1, -1], jnp.arange(1, count)
        # An accepted start stays; the one after the last of them is the exact end of its block.
        stays = (following < found.accepted).reshape(-1, *(1,) * x.ndim)
        starts, said = sweep(following <= found.accepted, jnp.where(stays, found.starts[1:], ends), found.said)
        return judged(starts, said, found.rounds + 1, found.accepted + 1)

    none, one = jnp.zeros((count - 1, *x.shape), x.dtype), jnp.asarray(1, jnp.int32)
    first = judged(*sweep(jnp.zeros(count - 1, bool), none, none), one, one)
    last = jax.lax.while_loop(lambda found: found.accepted < count, turn, first)
    rows = last.states.at[:-1, -1].set(last.starts[1:]).reshape(count * each, *x.shape)
    return rows[:length], last.rounds * (each + count - 1)


def _in_blocks(inputs: Inputs, count: int, each: int) -> Inputs:
    """The inputs cut into blocks; steps that change nothing are added to the last one where it is short."""
    missing = count * each - inputs.scale.shape[0]

    def cut(leaf: Array, filler: float | None = None) -> Array:
        added = jnp.repeat(leaf[-1:], missing, axis=0)
        added = added if filler is None else jnp.full_like(added, filler)
        return jnp.concatenate([leaf, added]).reshape(count, each, *leaf.shape[1:])

    noise = None if inputs.noise is None else cut(inputs.noise, 0.0)
    return Inputs(cut(inputs.time), cut(inputs.scale, 1.0), cut(inputs.slope, 0.0), cut(inputs.deviation, 0.0), noise)
