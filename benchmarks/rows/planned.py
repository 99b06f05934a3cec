"""Rows 3 and 12: the plan against the best of the other methods, on a hard network and over the whole zoo."""

import math
from collections.abc import Iterator

import jax.numpy as jnp
import jax.random as jr

import parascan as ps

from .. import machine
from ..case import Case, Size
from ..planner import FOLDER, ROUNDS, judge, stored
from ..workloads import tanh_rnn
from ..zoo import Specimen, zoo

NEARLY_NEUTRAL = -0.01
"""Exponent of row 3, per step."""

D, LENGTH = 32, 50_000


def weakly_contracting(size: Size) -> Iterator[Case]:
    """Row 3: a network that takes thousands of steps to forget."""
    length = size.length(LENGTH, 128)
    gain = 0.9 if size.toy else _gain(NEARLY_NEUTRAL)
    row = judge(
        Specimen(f"tanh network g={gain:.3f} D={D}", "network", lambda: tanh_rnn(D, length, jnp.float64, gain)),
        _rounds(size),
    )
    others = [seconds for name, seconds in row["times"].items() if name != "plan"]
    value = row["times"]["plan"] / min(others)
    label = f"tanh RNN D={D} T={length} g={gain:.3f}, exponent {row['exponent']:.4f}"
    note = f"planned {row['planned']}; best {row['best']}; least times of {_rounds(size)} rounds"
    yield Case(3, label, "planned / best single method", value, value, value, 1.25, most=True, note=note)


def whole_zoo(size: Size) -> Iterator[Case]:
    """Row 12: from the stored judgement; at toy size two systems are judged anew."""
    if size.toy:
        rows = [judge(specimen, _rounds(size)) for specimen in list(zoo(200))[:1]]
    else:
        rows = list(stored(FOLDER / f"{machine.slug()}.jsonl").values())
    if not rows:
        raise AssertionError("nothing is stored: run python -m benchmarks.planner first")
    regrets = [row["regret"] for row in rows]
    mean, worst = math.exp(sum(map(math.log, regrets)) / len(regrets)), max(regrets)
    name = max(rows, key=lambda row: row["regret"])["name"]
    label = f"{len(rows)} systems"
    yield Case(12, label, "planned / best, geometric mean", mean, min(regrets), worst, 1.15, most=True)
    yield Case(12, label, "planned / best, worst", worst, worst, worst, 1.5, most=True, note=name)


def _rounds(size: Size) -> int:
    """Turns of every method."""
    return 1 if size.toy else ROUNDS


def _gain(exponent: float) -> float:
    """The gain at which the network's exponent is a given one, by bisection."""
    low, high = 0.5, 1.5
    for _ in range(12):
        middle = (low + high) / 2
        w = tanh_rnn(D, 4096, jnp.float64, middle)
        found = ps.lyapunov_exponents(w.step, w.initial, w.inputs, key=jr.key(0))
        low, high = (middle, high) if float(found.per_step) < exponent else (low, middle)
    return low
