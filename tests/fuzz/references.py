"""Programs that answer a problem of the fuzz: ours, the plain loop, and copies of it that round otherwise."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from adversaries import Family, Tree
from jax.flatten_util import ravel_pytree

import parascan as ps
from parascan.chunked import acceptance

NARROW = (jnp.dtype(jnp.bfloat16), jnp.dtype(jnp.float16))

DENSE, SPARSE = 4, 6
"""Copies that are moved at every step, and at the junctions."""


class Programs(NamedTuple):
    """Compiled functions of ``(parameters, init, xs)``, and of noise for ``copies``.

    Attributes:
        ours: outputs, and how they came about.
        plain: outputs of the plain loop.
        copies: outputs of the loop with noise ``[K, T, ...]``.
        otherwise: outputs of the loop compiled otherwise ``[K, T, ...]``.
        truth: outputs in a wider dtype.
    """

    ours: Any
    plain: Any
    copies: Any
    otherwise: Any
    truth: Any


def typed(tree: Tree, dtype: Any) -> Tree:
    """Floating leaves in a dtype."""

    def one(leaf: Any) -> Any:
        leaf = np.asarray(leaf)
        return jnp.asarray(leaf, dtype if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf.dtype)

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
        _, pull = jax.vjp(partial(contribution, step, c, x, weight, units), floats(c), floats(x))
        return pull((rounded(moved, units, frozenset()), jnp.ones((), w.dtype)))

    return scanned(row, jax.tree.map(jnp.zeros_like, floats(init)), (before, xs, w, noise), reverse=not reverse)


def by_jacobians(step: Any, init: Tree, xs: Tree, w: Any, noise: Tree, *, reverse: bool) -> Tree:
    """The same by the Jacobian of every step, which rounds in another order: cotangents meet slopes at the end."""
    before = scanned(lambda c, x: (step(c, x)[0], c), init, (xs, noise), reverse=reverse)
    start, _ = ravel_pytree(floats(init))

    def jacobians(c: Tree, x: Tree, weight: Any, units: Tree) -> tuple[Any, Any]:
        flat, of_both = ravel_pytree((floats(c), floats(x)))

        def after(flat: Any) -> Any:
            new, loss = contribution(step, c, x, weight, units, *of_both(flat))
            return jnp.append(ravel_pytree(new)[0], loss)

        return jax.jacfwd(after)(flat)

    def row(moved: Any, matrix: Any) -> tuple[Any, Any]:
        total = moved @ matrix[:-1] + matrix[-1]
        return total[: start.size], total[start.size :]

    matrices = jax.vmap(jacobians)(before, xs, w, noise)
    moved = jax.lax.scan(row, jnp.zeros_like(start), matrices, reverse=not reverse)[1]
    return jax.vmap(ravel_pytree(jax.tree.map(lambda leaf: leaf[0], floats(xs)))[1])(moved)


def contribution(step: Any, c: Tree, x: Tree, weight: Any, units: Tree, state: Tree, given: Tree) -> tuple[Tree, Any]:
    """Floating states after a step and what it adds to the loss, by its floating states and inputs."""
    new, y = step({**c, **state}, ({**x, **given}, units))
    return floats(new), loss(jax.tree.map(lambda leaf: leaf[None], y), weight[None])


def loss(ys: Tree, w: Any) -> Any:
    """A weighted sum over time of all floating outputs, of which those that are no number do not count."""
    total = jnp.zeros((), w.dtype)
    for leaf in jax.tree.leaves(ys):
        total += jnp.sum(jnp.where(jnp.isnan(leaf), 0, leaf) * w.reshape(-1, *(1 for _ in leaf.shape[1:])))
    return total


WIDER = {"bfloat16": "float32", "float16": "float32", "float32": "float64"}
"""In what dtype numbers are known better."""


def in_wider(run: Any, dtype: str, *args: Tree) -> Tree:
    """A function of arguments in a wider dtype, or None where there is none."""
    if dtype not in WIDER:
        return None
    with jax.enable_x64(dtype == "float32"):
        return jax.tree.map(np.asarray, jax.jit(run)(*typed(args, WIDER[dtype])))


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

    def truth(dtype: str, p: Tree, init: Tree, xs: Tree) -> Tree:
        """Each step in a wider dtype, from the state where the plain loop was."""
        before = jax.jit(lambda: scanned(lambda c, x: (family.step(p, c, x)[0], c), init, xs, reverse=reverse))()
        return in_wider(lambda p, before, xs: jax.vmap(partial(kept, p))(before, xs)[1], dtype, p, before, xs)

    def otherwise(*args: Tree) -> Tree:
        return jax.tree.map(lambda leaf: leaf[None], plain(*args, unroll=4))

    return Programs(jax.jit(ours), jax.jit(plain), jax.jit(copies), jax.jit(otherwise), truth)


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

    def otherwise(p: Tree, init: Tree, xs: Tree, w: Any) -> Tree:
        found = [gradient(partial(plain, unroll=4))(p, init, xs, w)]
        if w.dtype in NARROW:
            step = partial(noisy, partial(family.step, p), family.held)
            still = jax.tree.map(lambda leaf: jnp.zeros((len(w), *leaf.shape)), floats(init))
            found.append(by_jacobians(step, init, xs, w, still, reverse=reverse))
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)

    def truth(dtype: str, *args: Tree) -> Tree:
        return in_wider(gradient(plain), dtype, *args)

    return Programs(*map(jax.jit, (gradient(ours), gradient(plain), copies, otherwise)), truth)
