"""Whether an answer is what ``jax.lax.scan`` gives, up to what the written guarantee allows.

Allowed is, entry by entry and step by step, in units of that entry at that step: a fixed number of units of rounding,
and a multiple of what changes in the plain loop, compiled otherwise, when its rounded states are moved by units of
rounding. Some copies of the loop are moved at every step by one unit or none, others at the junctions of chunks alone,
by as many units as the rule of acceptance has. The copies are only run for answers that differ by more than the first.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from adversaries import Tree

UNITS = 32
"""Units that need no explanation, of either answer over several operations: of rounding, of an entry's own magnitude,
and of the smallest normal number, below which there is only zero."""

NEAR_OVERFLOW = 16
"""Within what factor of the largest number a gradient may be where an intermediate result of the other was infinite."""

TIMES = 16
"""How many times as far off as the furthest copy an answer may be."""

NEAR = 2
"""Steps before and after over which the distance of copies is taken: all of them may pass through zero."""

LARGE, LATE = 0.02, 512
"""Relative distance of copies that means another regime, and steps for which it excuses: what is that sensitive may
take the other way at another event."""


def one_by_one(copies: Tree) -> list[Tree]:
    """Answers ``[T, ...]`` of several copies ``[K, T, ...]``."""
    return [jax.tree.map(lambda leaf, k=k: leaf[k], copies) for k in range(len(jax.tree.leaves(copies)[0]))]


class Wrong(NamedTuple):
    """The worst entry of an answer that is not explained."""

    leaf: int
    time: int
    entry: tuple[int, ...]
    ours: float
    plain: float
    times: float


def over_time(values: np.ndarray, before: int, after: int) -> np.ndarray:
    """The largest of some steps before and after each ``[T, ...]``."""
    padded = np.pad(values, [(before, after)] + [(0, 0)] * (values.ndim - 1))
    windows = np.lib.stride_tricks.sliding_window_view(padded, before + after + 1, axis=0)
    return windows.max(axis=-1)


def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance of two values, of which equals have none, nor two that are no number."""
    with np.errstate(all="ignore"):
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        # What has left the finite numbers may have gone through the largest ones otherwise.
        lost = ~np.isfinite(a) & np.isinf(b) | np.isinf(a) & np.isnan(b)
        return np.where(same | lost, 0, np.where(np.isfinite(a) & np.isfinite(b), np.abs(a - b), np.inf))


def wide(tree: Tree) -> list[np.ndarray]:
    """Leaves in float64."""
    return [np.asarray(leaf).astype(np.float64) for leaf in jax.tree.leaves(tree)]


def allowance(plain: list[np.ndarray], dtype: Any) -> list[np.ndarray]:
    """What needs no explanation."""
    info = jnp.finfo(dtype)
    return [UNITS * (float(info.eps) * np.abs(leaf) + float(info.tiny)) for leaf in plain]


def suspicious(ours: Tree, plain: Tree, dtype: Any) -> bool:
    """Whether any entry needs an explanation."""
    first, second = wide(ours), wide(plain)
    return any(
        bool(np.any(apart(a, b) > np.nan_to_num(allowed)))
        for a, b, allowed in zip(first, second, allowance(second, dtype), strict=True)
    )


def explained(
    ours: Tree,
    plain: Tree,
    references: list[Tree],
    dtype: Any,
    *,
    reverse: bool,
    gradient: bool = False,
    truth: Tree = None,
) -> Wrong | None:
    """The worst entry that copies do not explain either.

    Args:
        ours: the answer, leaves ``[T, ...]``.
        plain: that of the plain loop.
        references: those of the same loop otherwise compiled and moved.
        dtype: of the system.
        reverse: direction of time.
        gradient: whether it is one, whose operations may come in another order.
        truth: the same in a wider dtype, from which the plain loop may be further off than its copies are from it: its
            sums stall in a narrow dtype, and operations inside a step round as well. Not trusted where it has taken
            another way, which in a narrow dtype cannot be told.
    """
    answers, loops, others = wide(ours), wide(plain), [wide(each) for each in references]
    exact = [] if truth is None else [wide(truth)]
    furthest = np.inf if jnp.finfo(dtype).bits < 32 else LARGE
    order = slice(None, None, -1 if reverse else 1)
    # A copy that took another way in one entry may have done so in all.
    parted = np.zeros(len(loops[0]))
    for index, loop in enumerate(loops):
        with np.errstate(all="ignore"):
            size = np.abs(loop) + 4 * float(jnp.finfo(dtype).tiny)
            share = np.max([np.nan_to_num(apart(each[index], loop) / size, posinf=1e9) for each in others], axis=0)
        parted = np.maximum(parted, np.max(share.reshape(len(share), -1), axis=1, initial=0))
    excused = over_time((parted > LARGE)[order].astype(float), LATE, 0)[order] > 0
    worst = None
    for index, (answer, loop, own) in enumerate(zip(answers, loops, allowance(loops, dtype), strict=True)):
        moved = np.max([np.nan_to_num(apart(each[index], loop), posinf=1e300) for each in others], axis=0)
        with np.errstate(all="ignore"):
            for each in exact:
                moved = np.maximum(moved, np.fmin(np.nan_to_num(apart(each[index], loop)), furthest * np.abs(loop)))
        allowed = np.maximum(np.nan_to_num(own), TIMES * over_time(moved, NEAR, NEAR))
        with np.errstate(all="ignore"):
            times = np.where(apart(answer, loop) > 0, apart(answer, loop) / allowed, 0)
        times[excused] = 0
        if gradient:
            least = np.minimum(np.sign(loop) * answer, np.sign(answer) * loop)
            times[least > float(jnp.finfo(dtype).max) / NEAR_OVERFLOW] = 0
        if times.size and times.max() > max(1, worst.times if worst else 0):
            place = tuple(int(i) for i in np.unravel_index(np.argmax(times), times.shape))
            worst = Wrong(index, place[0], place[1:], float(answer[place]), float(loop[place]), float(times.max()))
    return worst
