"""Whether an answer is what ``jax.lax.scan`` gives, up to what the written guarantee allows.

Allowed is, entry by entry and step by step, in units of that entry at that step: a fixed number of units of rounding,
and a multiple of what changes in the plain loop, compiled otherwise, when its rounded states are moved by units of
rounding. Some copies of the loop are moved at every step by one unit or none, others at the junctions of chunks alone,
by as many units as the rule of acceptance has. The copies are only run for answers that differ by more than the first.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from adversaries import Family, Tree

import parascan as ps
from parascan.lanes import acceptance

UNITS = 32
"""Units that need no explanation, of either answer over several operations: of rounding, of an entry's own magnitude,
and of the smallest normal number, below which there is only zero."""

NEAR_OVERFLOW = 16
"""Within what factor of the largest number a gradient may be where an intermediate result of the other was infinite."""

TIMES = 16
"""How many times as far off as the furthest copy an answer may be."""

NARROW = (jnp.dtype(jnp.bfloat16), jnp.dtype(jnp.float16))

DENSE, SPARSE = 4, 6
"""Copies that are moved at every step, and at the junctions."""

NEAR = 2
"""Steps before and after over which the distance of copies is taken: all of them may pass through zero."""

LARGE, LATE = 0.02, 512
"""Relative distance of copies that means another regime, and steps for which it excuses: what is that sensitive may
take the other way at another event."""


class Programs(NamedTuple):
    """Compiled functions of ``(parameters, init, xs)``, and of noise for ``copies``.

    Attributes:
        ours: outputs, and how they came about.
        plain: outputs of the plain loop.
        copies: outputs of the loop with noise ``[K, T, ...]``.
        unrolled: outputs of the loop compiled otherwise.
    """

    ours: Any
    plain: Any
    copies: Any
    unrolled: Any


def typed(tree: Tree, dtype: Any) -> Tree:
    """Floating leaves in a dtype."""

    def one(leaf: Any) -> Any:
        leaf = np.asarray(leaf)
        return jnp.asarray(leaf, dtype if leaf.dtype.kind == "f" else leaf.dtype)

    return jax.tree.map(one, tree)


def floats(tree: Tree) -> Tree:
    """Floating leaves of a dictionary."""
    return {name: leaf for name, leaf in tree.items() if jnp.issubdtype(leaf.dtype, jnp.floating)}


def noisy(step: Any, held: frozenset[str], carry: Tree, x: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
    """A step from a carry that is moved by units of rounding first."""
    x, noise = x
    return step({**carry, **rounded(floats(carry), noise, held)}, x)


def rounded(values: Tree, noise: Tree, held: frozenset[str]) -> Tree:
    """Values that are moved by units of rounding, but for those of which nothing is ever rounded."""
    return {
        name: leaf if name in held else leaf + leaf * noise[name].astype(leaf.dtype) * float(jnp.finfo(leaf.dtype).eps)
        for name, leaf in values.items()
    }


def noise_for(random: np.random.Generator, init: Tree, T: int, dtype: Any, junctions: np.ndarray) -> Tree:
    """Units of rounding ``[K, T, ...]`` by which copies are moved."""
    narrow = jnp.finfo(dtype).bits < 32
    own = acceptance.UNITS_OF_NARROW if narrow else acceptance.UNITS
    spread = acceptance.SPREAD_UNITS_OF_NARROW if narrow else acceptance.SPREAD_UNITS
    junctions = junctions[(junctions > 0) & (junctions < T)]

    def one(leaf: Any) -> np.ndarray:
        units = np.zeros((DENSE + SPARSE, T, *np.shape(leaf)), np.int8)
        units[:DENSE] = random.integers(-1, 2, units[:DENSE].shape)
        for copy in range(DENSE, DENSE + SPARSE):
            shape = units[copy, junctions].shape
            units[copy, junctions] = random.choice([-1, 1], shape) * int(own)
            units[copy, junctions - 1] = random.choice([-1, 1], shape) * int(spread)
        return units

    return {name: one(leaf) for name, leaf in floats(init).items()}


def bits(tree: Tree) -> Tree:
    """Leaves of a narrow dtype as integers: XLA copies whole outputs of bfloat16 at every step of a loop on a CPU."""
    return jax.tree.map(
        lambda leaf: jax.lax.bitcast_convert_type(leaf, jnp.uint16) if jnp.dtype(leaf.dtype) in NARROW else leaf, tree
    )


def scanned(step: Any, init: Tree, xs: Tree, *, reverse: bool, unroll: int = 1) -> Tree:
    """Outputs of the plain loop, narrow ones collected as integers: bit by bit those of ``jax.lax.scan``."""
    kinds = jax.eval_shape(step, init, jax.tree.map(lambda leaf: leaf[0], xs))[1]

    def row(c: Tree, x: Tree) -> tuple[Tree, Tree]:
        c, y = step(c, x)
        return c, bits(y)

    ys = jax.lax.scan(row, init, xs, reverse=reverse, unroll=unroll)[1]
    return jax.tree.map(
        lambda leaf, kind: leaf if leaf.dtype == kind.dtype else jax.lax.bitcast_convert_type(leaf, kind.dtype),
        ys,
        kinds,
    )


def pulled_back(step: Any, init: Tree, xs: Tree, w: Any, noise: Tree, *, reverse: bool) -> Tree:
    """The gradient of ``loss`` with respect to the floating inputs: one step after the other, each computed again.

    Args:
        step: of the plain loop, whose states are moved as well.
        init: initial carry.
        xs: inputs.
        w: weights of the loss.
        noise: units of rounding by which cotangents of states are moved.
        reverse: direction of time.
    """
    before = scanned(lambda c, x: (step(c, x)[0], c), init, (xs, noise), reverse=reverse)

    def row(moved: Tree, row: tuple[Tree, Tree, Any, Tree]) -> tuple[Tree, Tree]:
        c, x, weight, units = row

        def after(state: Tree, given: Tree) -> tuple[Tree, Any]:
            new, y = step({**c, **state}, ({**x, **given}, units))
            return floats(new), loss(jax.tree.map(lambda leaf: leaf[None], y), weight[None])

        _, pull = jax.vjp(after, floats(c), floats(x))
        return pull((rounded(moved, units, frozenset()), jnp.ones((), w.dtype)))

    return scanned(row, jax.tree.map(jnp.zeros_like, floats(init)), (before, xs, w, noise), reverse=not reverse)


def loss(ys: Tree, w: Any) -> Any:
    """A weighted sum over time of all floating outputs, of which those that are no number do not count."""
    total = jnp.zeros((), w.dtype)
    for leaf in jax.tree.leaves(ys):
        total += jnp.sum(jnp.where(jnp.isnan(leaf), 0, leaf) * w.reshape(-1, *(1 for _ in leaf.shape[1:])))
    return total


def forward_programs(family: Family, solver: Any, *, reverse: bool) -> Programs:
    """Of the outputs and states of a family."""

    def kept(p: Tree, c: Tree, x: Tree) -> tuple[Tree, Tree]:
        c, y = family.step(p, c, x)
        return c, (y, floats(c))

    def ours(p: Tree, init: Tree, xs: Tree) -> tuple[Tree, Any]:
        run = ps.rollout(partial(kept, p), init, xs, solver=solver, throw=False, reverse=reverse)
        return run.ys, run.stats

    def plain(p: Tree, init: Tree, xs: Tree, unroll: int = 1) -> Tree:
        return scanned(partial(kept, p), init, xs, reverse=reverse, unroll=unroll)

    def copies(p: Tree, init: Tree, xs: Tree, noise: Tree) -> Tree:
        step = partial(noisy, partial(kept, p), family.held)
        return jax.vmap(lambda noise: scanned(step, init, (xs, noise), reverse=reverse))(noise)

    return Programs(jax.jit(ours), jax.jit(plain), jax.jit(copies), jax.jit(partial(plain, unroll=4)))


def gradient_programs(family: Family, solver: Any, *, reverse: bool) -> Programs:
    """Of the gradients with respect to the inputs ``[T, ...]``."""

    def gradient(run: Any) -> Any:
        def of_inputs(p: Tree, init: Tree, xs: Tree, w: Any) -> Tree:
            return jax.grad(lambda moved: loss(run(p, init, {**xs, **moved}), w))(floats(xs))

        return of_inputs

    def ours(p: Tree, init: Tree, xs: Tree) -> Tree:
        return ps.scan(partial(family.step, p), init, xs, solver=solver, reverse=reverse)[1]

    def plain(p: Tree, init: Tree, xs: Tree, unroll: int = 1) -> Tree:
        return jax.lax.scan(partial(family.step, p), init, xs, reverse=reverse, unroll=unroll)[1]

    def copies(p: Tree, init: Tree, xs: Tree, w: Any, noise: Tree) -> Tree:
        step = partial(noisy, partial(family.step, p), family.held)
        return jax.vmap(lambda noise: pulled_back(step, init, xs, w, noise, reverse=reverse))(noise)

    runs = gradient(ours), gradient(plain), copies, gradient(partial(plain, unroll=4))
    return Programs(*map(jax.jit, runs))


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
            sums stall in a narrow dtype, and its slopes are as inexact as the results of operations inside the step.
    """
    answers, loops, others = wide(ours), wide(plain), [wide(each) for each in references]
    exact = [] if truth is None else [wide(truth)]
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
        moved = np.max([np.nan_to_num(apart(each[index], loop), posinf=1e300) for each in [*others, *exact]], axis=0)
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
