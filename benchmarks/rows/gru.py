"""Row 4: a GRU of 64 units over 17984 steps, forward and with the gradient, alone and as a batch of 16.

On one device; row 10 has both cores.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

import parascan as ps

from .. import workloads
from ..case import Case, Size, Work, planned
from ..harness import assert_close

LENGTH = 17984
UNITS = 64
TARGETS = {(1, False): 3.0, (1, True): 2.5, (16, False): 0.95, (16, True): 0.95}
GOALS = {(1, False): 3.2, (1, True): 2.5, (16, False): 0.97, (16, True): 1.3}
"""Against the best number of steps in a turn."""


def run(size: Size) -> Iterator[Case]:
    """Batch 1 and 16, forward and forward + backward."""
    T = size.length(LENGTH)
    cell = workloads.gru()
    for batch in (1, 2 if size.toy else 16):
        xs = jr.normal(jr.key(2), (batch, T, 6), jnp.float32)
        for backward in (False, True):
            ours, yardstick = (program(scan, backward, batch) for scan in (ps.scan, jax.lax.scan))
            name = f"GRU({UNITS}) T={T} batch {batch} {'forward + backward' if backward else 'forward'}"
            assert_close(ours(cell, xs), yardstick(cell, xs), 512, name)
            products = 2 * 3 * UNITS * (UNITS + 6) + 40 * UNITS
            work = Work(batch * T * products * (3 if backward else 1), batch * T * (6 + UNITS) * 4)
            key = (16 if batch > 1 else 1, backward)
            yield from planned(
                4,
                name,
                lambda ours=ours, xs=xs: ours(cell, xs),
                lambda unroll, xs=xs, of=(backward, batch): partial(plain(*of, unroll), cell, xs),
                TARGETS[key],
                size,
                (work, jnp.float32),
                goal=GOALS[key],
            )


def plain(backward: bool, batch: int, unroll: int) -> Callable[..., Any]:
    """The same by `jax.lax.scan` with so many steps in a turn."""
    return program(jax.lax.scan, backward, batch, unroll=unroll)


def program(scan: Callable[..., Any], backward: bool, batch: int, **options: Any) -> Callable[..., Any]:
    """The states of a sequence or batch, or a loss of theirs with its gradient."""

    def states(cell: eqx.nn.GRUCell, xs: jax.Array) -> jax.Array:
        def one(xs: jax.Array) -> jax.Array:
            return scan(lambda s, x: (cell(x, s),) * 2, jnp.zeros(UNITS, jnp.float32), xs, **options)[1]

        return jax.vmap(one)(xs) if batch > 1 else one(xs[0])

    def loss(cell: eqx.nn.GRUCell, xs: jax.Array) -> jax.Array:
        return jnp.mean(states(cell, xs) ** 2)

    return eqx.filter_jit(eqx.filter_value_and_grad(loss) if backward else states)
