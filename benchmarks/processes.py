"""Row 10 between processes: `python -m benchmarks.processes ADDRESS COUNT NUMBER STEPS ROUNDS` is one of them.

All run the same sequence cut among them; the first also runs it alone, while the others wait. The first one prints
a line of JSON: the ratios forward and with the gradient.
"""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding

import parascan as ps

from . import workloads
from .harness import Ratio, assert_close, in_turns
from .rows import gru

LONGEST = 1200
"""Seconds after which processes that wait for each other are ended."""

DIRECTIONS = ("forward", "forward + backward")
UNITS_OF_ROUNDING = 512


def ratios(count: int, T: int, rounds: int) -> dict[str, Ratio]:
    """How many times as fast some processes with a device each are as one of them, by direction."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        address = f"localhost:{found.getsockname()[1]}"
    command = [sys.executable, "-m", "benchmarks.processes", address, str(count)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([*command, str(each), str(T), str(rounds)], **pipes) for each in range(count)]
    try:
        ended = [each.communicate(timeout=LONGEST) for each in started]
    finally:
        for each in started:
            each.kill()
    for each, (_, errors) in zip(started, ended, strict=True):
        if each.returncode:
            raise RuntimeError(f"a process of {count} failed: {errors[-2000:]}")
    told = json.loads(next(line for line in ended[0][0].splitlines() if line.startswith("{")))
    return {direction: Ratio(**told[direction]) for direction in DIRECTIONS}


def measure(process: int, count: int, T: int, rounds: int) -> dict[str, Ratio]:
    """The ratios, as one of the processes takes part in finding them."""
    cell = workloads.gru()
    whole = np.asarray(jr.normal(jr.key(2), (1, T, 6), jnp.float32))
    own = slice(process * T // count, (process + 1) * T // count)
    mesh = jax.make_mesh((count,), ("time",))
    cut = NamedSharding(mesh, jax.P(None, "time"))
    xs = jax.make_array_from_process_local_data(cut, whole[:, own])
    alone = jax.device_put(whole, jax.local_devices()[0])
    # Values, which every process has alike: arrays of a process's own device are refused in a program of all.
    arrays, static = eqx.partition(cell, eqx.is_array)
    shared = eqx.combine(jax.tree.map(np.asarray, arrays), static)
    found = {}
    for direction in DIRECTIONS:
        backward = direction != DIRECTIONS[0]
        together, single, plain = (
            gru.program(scan, backward, 1, **options)
            for scan, options in ((ps.scan, {"mesh": mesh}), (ps.scan, {}), (jax.lax.scan, {}))
        )
        expected = plain(cell, alone)
        given = jax.tree.map(_local, together(shared, xs))
        part = expected if backward else expected[own]
        assert_close(given, part, UNITS_OF_ROUNDING, f"{count} processes, {direction}")
        theirs: Callable[[], Any] = (lambda run=single: run(cell, alone)) if process == 0 else _nothing
        found[direction] = in_turns(
            lambda run=together: run(shared, xs),
            theirs,
            rounds,
            meet=lambda: multihost_utils.sync_global_devices("turn"),
        )
    return found


def _local(leaf: Any) -> Any:
    """What of an array lies on this process."""
    return np.asarray(leaf.addressable_shards[0].data) if eqx.is_array(leaf) else leaf


def _nothing() -> None:
    """What the other processes do while the first one runs alone."""


if __name__ == "__main__":
    address, count, process, T, rounds = (each if ":" in each else int(each) for each in sys.argv[1:])
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_num_cpu_devices", 1)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(address, count, process)
    found = measure(process, count, T, rounds)
    if process == 0:
        print(json.dumps({direction: asdict(ratio) for direction, ratio in found.items()}), flush=True)
