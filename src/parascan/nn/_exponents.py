"""Lyapunov exponents of a layer that training can differentiate, and what to add to a loss."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .._carry import CarryLayout
from .._types import Tree
from ._cell import AbstractCell
from ._layer import Recurrent


def finite_time_exponents(
    layer: Recurrent,
    xs: Tree,
    state: Any = None,
    *,
    key: PRNGKeyArray,
    count: int = 1,
    window: int | None = None,
    warm_up: int = 0,
) -> Float[Array, " count"]:
    """The largest Lyapunov exponents of a layer along its own trajectory, differentiable in weights, inputs and state.

    The trajectory is the layer's, found by its own solver; then windows of it are run side by side, in each of which
    an orthonormal frame is pushed through the Jacobians and made orthonormal again by QR at every step. Depth is that
    of the layer plus ``window + warm_up`` steps, work ``T (1 + warm_up / window)`` steps with ``count`` products each.
    One window, the default, is the exponent over the whole sequence.

    Args:
        layer: the layer.
        xs: inputs ``[T, I]``.
        state: the state before the first step; the cell's initial state when None.
        key: random key of the frames.
        count: how many exponents, the largest first.
        window: steps over which growth is counted, a divisor of T minus ``warm_up``; all when None.
        warm_up: steps before each window that turn a frame toward the fastest directions and do not count.

    Returns:
        Mean growth of each direction, in 1/step ``[count]``.

    Raises:
        TypeError: ``layer`` is not a ``Recurrent``.
        ValueError: a number out of range, or a window that does not divide the steps that count.

    Source: Benettin et al. 1980; Engelken 2023 (gradient flossing) for its derivative.

    Example:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> layer = ps.nn.Recurrent(ps.nn.GRUCell(3, 8, key=jax.random.key(0)))
        >>> exponents = ps.nn.finite_time_exponents(layer, jnp.ones((100, 3)), key=jax.random.key(1), count=2)
        >>> exponents.shape, bool(exponents[0] < 0)
        ((2,), True)
    """
    if not isinstance(layer, Recurrent):
        raise TypeError(f"layer: given {type(layer).__name__}, expected a Recurrent.")
    rows = jax.tree.leaves(xs)[0].shape[0]
    if not 0 <= warm_up < rows:
        raise ValueError(f"warm_up: given {warm_up}, expected zero or more and less than T = {rows}.")
    size = rows - warm_up if window is None else window
    if size < 1 or (rows - warm_up) % size:
        raise ValueError(f"window: given {window}, expected a divisor of {rows - warm_up}, the steps that count.")
    _, _, solution = layer.rollout(xs, state)
    cell = layer.cell.ready()
    first = cell.initial_state() if state is None else state
    drives, states = cell.prepare(xs), solution.states
    if layer.reverse:
        drives, states = jax.tree.map(lambda leaf: leaf[::-1], (drives, states))
    before = jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest[:-1]]), first, states)
    windows = (rows - warm_up) // size
    index = size * jnp.arange(windows)[:, None] + jnp.arange(size + warm_up)
    layout = CarryLayout.of(first)
    if not 1 <= count <= layout.size:
        raise ValueError(f"count: given {count}, expected 1 to {layout.size}, the entries of a state.")
    frames = jax.random.normal(key, (windows, layout.size, count), layout.dtype)
    counts = jnp.arange(size + warm_up) >= warm_up

    def growth(index: Array, frame: Array) -> Array:
        rows_of = jax.tree.map(lambda leaf: leaf[index], (before, drives))
        logs = jax.lax.scan(_push(cell, layout), jnp.linalg.qr(frame)[0], rows_of)[1]
        return jnp.sum(jnp.where(counts[:, None], logs, 0), axis=0) / size

    return jnp.mean(jax.vmap(growth)(index, frames), axis=0)


def _push(cell: AbstractCell, layout: CarryLayout) -> Callable[[Array, tuple[Tree, Tree]], tuple[Array, Array]]:
    """One step of a frame: through the Jacobian at a known state, and made orthonormal."""

    def push(frame: Array, row: tuple[Tree, Tree]) -> tuple[Array, Array]:
        state, drive = row
        flat, discrete = layout.split(state)

        def step(flat: Array) -> Array:
            return layout.split(cell.step(drive, layout.join(flat, discrete))[0])[0]

        _, product = jax.linearize(step, flat)
        frame, triangle = jnp.linalg.qr(jax.vmap(product, in_axes=1, out_axes=1)(frame))
        # A direction that dies out leaves a zero, whose logarithm no average survives.
        lengths = jnp.abs(jnp.diagonal(triangle))
        return frame, jnp.log(jnp.maximum(lengths, jnp.finfo(lengths.dtype).tiny))

    return push


def flossing_penalty(exponents: Float[Array, " count"], *, target: float = 0.0) -> Float[Array, ""]:
    """Mean square of the exponents' distance from a target, to be added to a loss.

    With a target of zero gradients neither vanish nor explode, which long memories need; a slightly negative target
    keeps the system predictable, and so fit for parallel evaluation.

    Args:
        exponents: what ``finite_time_exponents`` returned.
        target: in 1/step.

    Source: Engelken 2023 (gradient flossing).
    """
    return jnp.mean((exponents - target) ** 2)


def ceiling_penalty(exponents: Float[Array, " count"], *, ceiling: float) -> Float[Array, ""]:
    """Mean square of the exponents' excess over a ceiling, zero below it: keeps a model predictable and else leaves it.

    Args:
        exponents: what ``finite_time_exponents`` returned.
        ceiling: in 1/step, a negative number such as ``-14 / T`` for a memory of less than T steps.
    """
    return jnp.mean(jnp.maximum(exponents - ceiling, 0) ** 2)
