"""Row 10: the same rollout on all devices of one process and of two; row 4's figures on both cores come with it.

How many devices a process has decides how JAX shares out threads, so each number of them is measured on its own. For
row 10 the arguments lie where they are used, on one device or on all; row 4 has these and a user's plain arrays.
"""

import os
from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import jax.random as jr
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import parascan as ps

from .. import processes, workloads
from ..case import Case, Size, timed
from ..harness import assert_close
from . import gru


def run(size: Size) -> Iterator[Case]:
    """Devices against one device, and both cores against sequential."""
    cell, T = workloads.gru(), size.length(gru.LENGTH)
    cores = len(os.sched_getaffinity(0))
    devices, count = jax.devices(), len(jax.devices())
    mesh = Mesh(devices, ("time",))
    everywhere, cut = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), (None, "time")))
    note, target = f"{cores} cores", 1.6 if count <= cores else 1.0
    for batch, backward in ((1, False), (1, True), (2 if size.toy else 16, False)):
        xs = jr.normal(jr.key(2), (batch, T, 6), jnp.float32)
        seq, one = (gru.program(scan, backward, batch) for scan in (jax.lax.scan, ps.scan))
        expected = seq(cell, xs)
        many = gru.program(ps.scan, backward, batch, mesh=mesh)
        resident = jax.device_put(cell, everywhere), jax.device_put(xs, cut if T % count == 0 else everywhere)
        direction = "with gradient, " if backward else ""
        name = f"GRU(64) T={T} batch {batch}, {direction}{count} devices"
        assert_close(many(cell, xs), expected, 512, name)
        moved, theirs, plain = (partial(program, cell, xs) for program in (many, one, seq))
        ours = partial(many, *resident)
        assert_close(ours(), expected, 512, name)
        yield timed(10, name, "devices / 1 device", ours, theirs, target, size, note=note)
        if count == 2 and not backward:
            goal = 4.0 if batch == 1 else 1.4
            yield timed(4, f"{name}, arrays placed", "planned / seq", ours, plain, goal, size, note=note)
            yield timed(4, name, "planned / seq", moved, plain, goal, size, note=note)
    if count == 2:
        for direction, found in processes.ratios(count, T, size.rounds).items():
            name = f"GRU(64) T={T} batch 1, {direction}, {count} processes"
            yield Case(10, name, "processes / 1 process", found.median, found.low, found.high, target, note=note)
