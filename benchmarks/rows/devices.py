"""Row 10: the same rollout on all devices of one process; row 4's figures on both cores come with it.

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

from .. import workloads
from ..case import Case, Size, timed
from ..harness import assert_close
from . import gru


def run(size: Size) -> Iterator[Case]:
    """Devices against one device, and both cores against sequential."""
    cell, T = workloads.gru(), size.length(gru.LENGTH)
    cores = len(os.sched_getaffinity(0))
    devices, count = jax.devices(), len(jax.devices())
    for batch in (1, 2 if size.toy else 16):
        xs = jr.normal(jr.key(2), (batch, T, 6), jnp.float32)
        seq, one = (gru.program(scan, False, batch) for scan in (jax.lax.scan, ps.scan))
        expected = seq(cell, xs)
        mesh = Mesh(devices, ("time",))
        many = gru.program(ps.scan, False, batch, mesh=mesh)
        everywhere, cut = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), (None, "time")))
        resident = jax.device_put(cell, everywhere), jax.device_put(xs, cut if T % count == 0 else everywhere)
        name = f"GRU(64) T={T} batch {batch}, {count} devices"
        assert_close(many(cell, xs), expected, 512, name)
        moved, theirs, plain = (partial(program, cell, xs) for program in (many, one, seq))
        ours = partial(many, *resident)
        assert_close(ours(), expected, 512, name)
        note = f"{cores} cores"
        target = 1.6 if count <= cores else 1.0
        yield timed(10, name, "devices / 1 device", ours, theirs, target, size, note=note)
        if count == 2:
            goal = 4.0 if batch == 1 else 1.4
            yield timed(4, f"{name}, arrays placed", "planned / seq", ours, plain, goal, size, note=note)
            yield timed(4, name, "planned / seq", moved, plain, goal, size, note=note)
