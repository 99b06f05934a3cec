"""The rows in which blocks forget that they did not start where they should have, told by twins of some of them."""

from collections.abc import Callable
from functools import reduce

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from .._types import Tree
from .choice import BETWEEN_CHECKS, Patience
from .coupling import Twins, agreement
from .grid import Grid
from .program import over_lanes, with_known

MARGIN = 8
"""One in so many rows is run on top of those in which twins met: they are some of the blocks, and others may forget a
little later. Without it half of the networks were judged to be not quite there and run again; with it none of 69."""

PUNCTUAL, NEARLY = 0.8, 0.85
"""Part of the rows that are allowed in which twins have to have come nearly together, and what that is."""

Step = Callable[[Tree, Tree], tuple[Tree, Tree]]
"""``(carry, x) -> (carry, y)``, a tree whose leaves are the arrays that it uses."""


def forget(
    step: Step,
    example: tuple[Tree, Tree],
    init: Tree,
    take: Callable[[Array], Tree],
    floor: Tree,
    grid: Grid,
    patience: Patience,
) -> tuple[Bool[Array, ""], Int[Array, ""], Tree]:
    """Whether twins meet within the rows that are allowed, a row by which all blocks have, and their states there.

    Args:
        step: the step of one sequence.
        example: shapes of its carry and inputs.
        init: initial carries, floating leaves ``[N, ...]``.
        take: the inputs ``[..., N P]`` of one step of every block.
        floor: as for ``run_blocks``.
        grid: how the sequences are cut.
        patience: how long a system may take to forget its start.
    """
    most = patience.most
    twins = Twins(grid.batch * grid.lanes, grid.spread(floor))
    goal = jnp.log(agreement(init))
    start = twins.start(grid.spread(init))
    begun = twins.parted(start)
    lanes = over_lanes(lambda step, carry, x: step(carry, x)[0], (False, True, True), step, *example)
    advance = with_known(lanes, step, start, jax.eval_shape(lambda: twins.join(take(jnp.int32(0)))))

    def going(state: tuple[Array, Array, Array, Tree]) -> Bool[Array, ""]:
        row, apart, fallen, _ = state
        # Distances start at about one in units of the scale, so their logarithm starts near zero. Seven tenths of the
        # pace that is needed will do at first, the whole of it from some rows on: what is given up late has cost most.
        # But whoever is nearly there when the time for it has come is let go on.
        part = row / max(PUNCTUAL * most, 1)
        needed = jnp.minimum(part * jnp.minimum(0.7 + 2 * part, 1), NEARLY)
        hopeful = (row < patience.trial) | (fallen <= goal * needed)
        return (row < most) & (apart > goal) & hopeful

    def run(first: Array, end: Array, states: Tree) -> Tree:
        return jax.lax.fori_loop(first, end, lambda i, states: advance(states, twins.join(take(i))), states)

    def follow(state: tuple[Array, Array, Array, Tree]) -> tuple[Array, Array, Array, Tree]:
        row, _, _, states = state
        end = jnp.minimum(row + BETWEEN_CHECKS, most)
        states = run(row, end, states)
        # Twins start far outside of where the states of a system at rest will be, and until they have come there their
        # distance is as large as they are: the pace is measured in units of where they set out.
        shares = [now / first for now, first in zip(twins.parted(states), begun, strict=True)]
        fallen = reduce(jnp.maximum, shares).astype(goal.dtype)
        return end, jnp.log(twins.apart(states)), jnp.log(fallen), states

    far = jnp.zeros_like(goal)
    row, apart, _, states = jax.lax.while_loop(going, follow, (jnp.int32(0), far, far, start))
    met = apart <= goal
    end = jnp.where(met, jnp.minimum(row + row // MARGIN, most), row)
    return everywhere(met, grid), end, twins.part(run(row, end, states))


def everywhere(flag: Bool[Array, ""], grid: Grid) -> Bool[Array, ""]:
    """Whether it holds on all devices."""
    return flag if grid.axis is None else jax.lax.pmin(flag.astype(jnp.int32), grid.axis) > 0
