"""How many blocks to run side by side, by facts that are known while tracing: no clock, the same answer every time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from .._types import Tree

SHORTEST = 4096
"""Steps below which a sequence is not worth cutting."""

SHORTEST_BLOCK = 128
"""Least steps of a block: the rows that are run twice must be few among them."""

LANES_ON_CPU = ((4, 512), (8, 256), (32, 64), (2**62, 32))
"""Best number of lanes for states up to a size: more do not fill vector registers better, but leave the near caches."""

LANES_OF_HEAVY_STEPS = ((64, 64), (2**62, 32))
"""The same for steps that compute much for each entry, whose products are better the wider they are."""

LANES_IN_ONE_SET = 32
"""Lanes above which rows a multiple of a page apart, which share few places of a cache, push one another out."""

PAGE = 4096
"""Bytes after which addresses fall into the same places of the nearest cache."""

LEAST_VALUE = 0.45
"""Use of vectors from which lanes are a gain on a CPU: 20 lanes, no whole vectors, took 1.2 times as long."""

LANES_OF_A_BATCH = 128
"""Most lanes of a batch of sequences together, where states are small or steps heavy; elsewhere as many as alone."""

LARGE = 32
"""Entries of a state above which the states, inputs and outputs of many lanes leave the nearest cache."""

FEWEST_LANES = 16
"""Least lanes of one sequence on one CPU device: fewer leave vector registers empty."""

FEWEST_BLOCKS = 4
"""Least blocks of each sequence in a batch, or on each of several devices: fewer do not pay for the moves of rows."""

ENTRIES_ELSEWHERE = 2**18
"""Most entries of all lanes together on an accelerator."""

WORTH_A_COPY = 300
"""Operations for each entry of the state from which a step costs much more than copying what it puts out."""

WORTH_AN_ADJOINT = 300
"""Operations for each entry of the state from which the adjoint in blocks beats reverse mode through a plain loop."""

BATCH_OF_ADJOINTS = 8
"""Batch from which reverse mode through a plain loop wins, whose products are then full ones."""

TRIAL_SHARE = 0.015
"""Part of the sequential time that may be spent on finding out that a system does not forget."""

LEAST_WORK = 8e6
"""Operations of a whole sequence below which the fixed cost of the parallel form, some 50 microseconds, shows."""

WORTH_A_MOVE = ((8, 4), (2**62, 8))
"""Operations for each entry of inputs, state and outputs below which moving the entries into lanes costs the gain, for
states up to a size."""

FEW_REDUCTIONS = 0.08
"""Part of the work in reductions above which lanes are no gain: with the lanes last XLA reduces entry by entry, and
computes again what several entries have in common (outer products 14 times as slow, a softmax of two 5 times)."""

COSTLY = frozenset(
    {"acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos", "cosh", "erf", "erf_inv", "erfc"}
    | {"exp", "exp2", "expm1", "lgamma", "log", "log1p", "logistic", "pow", "rsqrt", "sin", "sinh", "sqrt", "tan"}
    | {"tanh", "random_bits", "threefry2x32"}
)
"""Operations that take about ten others."""

MOVING = frozenset(
    {"broadcast_in_dim", "concatenate", "convert_element_type", "copy", "dynamic_slice", "dynamic_update_slice"}
    | {"expand_dims", "gather", "iota", "pad", "reshape", "rev", "slice", "split", "squeeze", "stop_gradient"}
    | {"transpose"}
)
"""Operations that compute nothing."""


def choose_lanes(
    length: int, size: int, work: float, batch: int = 1, devices: int = 1, platform: str | None = None
) -> int:
    """Blocks for each sequence on each device, or 0 where one step after the other is the better way.

    A batch is parallel work that is there already: it takes its share of the lanes.

    Args:
        length: T, steps of a sequence.
        size: D, entries of a state.
        work: operations of a step, as ``operations`` counts them.
        batch: N, sequences that run at once.
        devices: over which each sequence is spread.
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``; that of the default backend when None.
    """
    if length < SHORTEST or size == 0:
        return 0
    platform = platform or jax.default_backend()
    if platform == "cpu":
        heavy = size > 8 and work >= WORTH_A_COPY * size
        table = LANES_OF_HEAVY_STEPS if heavy else LANES_ON_CPU
        alone = next(lanes for bound, lanes in table if size <= bound)
        together = max(alone, LANES_OF_A_BATCH // devices) if heavy or size <= LARGE else alone
        most = min(alone, together // batch)
        fewest = FEWEST_LANES if batch == 1 and devices == 1 else FEWEST_BLOCKS
    else:
        most, fewest = max(ENTRIES_ELSEWHERE // (size * batch), 1), 1
        alone = most
    most = min(most, length // (SHORTEST_BLOCK * devices))
    if most < fewest:
        return 0
    counts = range(max(most // 4, fewest), most + 1)
    exact = [count for count in counts if length % (count * devices) == 0]
    if not exact and work < WORTH_A_COPY * size:
        return 0

    def value(count: int) -> float:
        crowded = size > 8 and count > LANES_IN_ONE_SET and length // (count * devices) * size * 8 % PAGE == 0
        return _value(count * batch) * min(1, alone / count) * (0.7 if crowded else 1)

    best = max(exact or counts, key=value)
    return best if platform != "cpu" or value(best) >= LEAST_VALUE else 0


def lanes_at_once(size: int) -> int:
    """Most lanes that are worth running together, when there are many.

    Args:
        size: D, entries of a state.
    """
    if jax.default_backend() == "cpu":
        # Large states come with their tangents here, of which the nearest cache holds fewer.
        return FEWEST_LANES if size > LARGE else next(lanes for bound, lanes in LANES_ON_CPU if size <= bound)
    return max(ENTRIES_ELSEWHERE // max(size, 1), 1)


def adjoint_pays(size: int, work: float, batch: int) -> bool:
    """Whether a derivative is worth a recurrence of its own, rather than JAX's way through the plain loop.

    Args:
        size: D, entries of a state.
        work: operations of a step, as ``operations`` counts them.
        batch: N, sequences that run at once as far as known.
    """
    return work >= WORTH_AN_ADJOINT * size and batch < BATCH_OF_ADJOINTS


def _value(lanes: int) -> float:
    """How well a number of lanes uses the machine: whole vectors count, and ever more lanes ever less."""
    whole = next(share for multiple, share in ((16, 1.0), (8, 0.9), (4, 0.75), (1, 0.5)) if lanes % multiple == 0)
    return whole * lanes / (lanes + 16)


def trial_steps(length: int, lanes: int, work: float) -> int:
    """Steps of all lanes after which a system that is not on its way to forget is given up.

    Args:
        length: T, steps of the sequence.
        lanes: how many run at once.
        work: operations of a step, as ``operations`` counts them.
    """
    # Measured on one core: a step takes some 8 ns and 0.09 ns for each operation; one of many lanes 0.35 of that for
    # each lane, and 1500 ns to set out.
    step = 8 + 0.09 * work
    return max(int(TRIAL_SHARE * length * step / (0.35 * lanes * step + 1500)), 4)


def unsuited(closed: ClosedJaxpr) -> str | None:
    """Why a step must not be run for several blocks at once, or None.

    Side effects would come in another order, and keys of the ``rbg`` kind give other numbers in a batch.
    """
    if closed.effects:
        return "it has side effects"
    for aval in (*closed.in_avals, *closed.out_avals):
        if getattr(aval, "vma", None) or _sharded(aval):
            return "its arrays are spread over a mesh already"
    for eqn in _operations(closed.jaxpr):
        if eqn.primitive.name == "rng_bit_generator" or any("rbg" in str(_dtype(atom)) for atom in eqn.invars):
            return "its random numbers depend on the batch"
    if any(jnp.issubdtype(aval.dtype, jax.dtypes.extended) for aval in closed.out_avals):
        return "its outputs are keys"
    return None


def unrewarding(closed: ClosedJaxpr, length: int, size: int) -> str | None:
    """Why a step gains nothing from several blocks at once, or None; rules from measurements on a CPU.

    Args:
        closed: the step.
        length: T, how often it is taken.
        size: D, entries of a state.
    """
    work = operations(closed)
    if work * length < LEAST_WORK:
        return "its steps are few and small"
    if jax.default_backend() != "cpu":
        return None
    moved = sum(int(np.prod(aval.shape)) for aval in (*closed.in_avals, *closed.out_avals))
    if work < next(least for bound, least in WORTH_A_MOVE if size <= bound) * moved:
        return "it computes little for what it reads and writes"
    reduced = sum(
        int(np.prod(eqn.invars[0].aval.shape))
        for eqn in _operations(closed.jaxpr)
        if eqn.primitive.name.startswith(("reduce_", "cum", "arg", "sort"))
    )
    if reduced > FEW_REDUCTIONS * work:
        return "it consists of reductions, which are slow side by side"
    return None


def operations(closed: ClosedJaxpr) -> float:
    """Arithmetic operations of one step, roughly."""
    return float(sum(_count(eqn) for eqn in _operations(closed.jaxpr)))


def costly(step: Callable[..., Any], *example: Any) -> bool:
    """Whether a step has operations that take about ten others.

    Args:
        step: the step.
        example: its arguments, as arrays or ``ShapeDtypeStruct``.
    """
    closed = jax.make_jaxpr(step)(*example)
    return any(eqn.primitive.name in COSTLY for eqn in _operations(closed.jaxpr))


def _count(eqn: Any) -> float:
    """Operations of one equation; moving entries is none."""
    if eqn.primitive.name in MOVING:
        return 0
    entries = sum(int(np.prod(var.aval.shape)) for var in eqn.outvars)
    if eqn.primitive.name == "dot_general":
        (contracted, _), _ = eqn.params["dimension_numbers"]
        return 2 * entries * int(np.prod([eqn.invars[0].aval.shape[axis] for axis in contracted]))
    return entries * (10 if eqn.primitive.name in COSTLY else 1)


def _operations(jaxpr: Any) -> list[Any]:
    """All equations of a program that are not merely calls, including those of programs inside it."""
    found = []
    for eqn in jaxpr.eqns:
        inner = [program for value in eqn.params.values() for program in _programs(value)]
        found.extend([eqn] if not inner else [])
        for program in inner:
            found.extend(_operations(program))
    return found


def _programs(value: Any) -> list[Any]:
    """Programs in a parameter of an equation."""
    parts: Tree = value if isinstance(value, list | tuple) else [value]
    return [part.jaxpr if hasattr(part, "jaxpr") else part for part in parts if hasattr(part, "eqns")]


def _dtype(atom: Any) -> Any:
    """Dtype of an operand."""
    return "" if isinstance(atom, Literal) else getattr(atom.aval, "dtype", "")


def _sharded(aval: Any) -> bool:
    """Whether an array's type names axes of a mesh."""
    sharding = getattr(aval, "sharding", None)
    return sharding is not None and any(part is not None for part in sharding.spec)
