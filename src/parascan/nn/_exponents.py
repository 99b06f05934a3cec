"""Lyapunov exponents of a layer that training can differentiate, and penalties on them for a loss."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..problem.carry import CarryLayout
from ..solution import Solution, Tree
from ._cell import AbstractCell
from ._layer import AbstractLayer, Recurrent
from ._stack import Bidirectional, Stacked, each_of


def finite_time_exponents(
    layer: AbstractLayer,
    xs: Tree,
    state: Any = None,
    *,
    key: PRNGKeyArray,
    count: int = 1,
    window: int | None = None,
    warm_up: int = 0,
) -> Float[Array, " count"]:
    """The largest Lyapunov exponents of a layer along its own trajectory, differentiable in weights, inputs and state.

    The trajectory is found by the layer's own solver. Then windows of it run side by side; in each an orthonormal frame
    is pushed through the Jacobians and made orthonormal again by QR at every step. Depth is that of the layer plus
    ``window + warm_up`` steps, work ``T (1 + warm_up / window)`` steps with ``count`` products each. One window, the
    default, gives the exponent over the whole sequence.

    In a stack, a layer does not act back on the one below, so that the exponents of the stack are those of all its
    layers together.

    Args:
        layer: the layer; of one made of layers, those of all its parts count, each in its own direction.
        xs: inputs ``[T, I]``.
        state: the state before the first step, as the layer takes it; the cell's initial state when None.
        key: random key of the frames.
        count: how many exponents, the largest first.
        window: steps over which growth is counted, a divisor of T minus ``warm_up``; all when None.
        warm_up: steps before each window in which its frame turns toward the fastest directions; they do not count.

    Returns:
        Mean growth of each direction, in 1/step ``[count]``.

    Raises:
        TypeError: ``layer`` is not a layer of this module, or a number is no integer.
        ValueError: a number out of range, or a window that does not divide the steps that count.

    Source: Benettin et al. 1980; Engelken 2023 (gradient flossing) for its derivative.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> layer = ps.nn.Recurrent(ps.nn.GRUCell(3, 8, key=jax.random.key(0)))
        >>> exponents = ps.nn.finite_time_exponents(layer, jnp.ones((100, 3)), key=jax.random.key(1), count=2)
        >>> exponents.shape, bool(exponents[0] < 0)
        ((2,), True)
    """
    parts = recurrences(layer, xs, state)
    for name, value in (("count", count), ("window", window), ("warm_up", warm_up)):
        if isinstance(value, bool) or not (isinstance(value, int | np.integer) or (value is None and name == "window")):
            raise TypeError(f"{name}: given {value!r}, expected an integer.")
    rows = parts[0].rows
    if not 0 <= warm_up < rows:
        raise ValueError(f"warm_up: given {warm_up}, expected zero or more and less than T = {rows}.")
    size = rows - warm_up if window is None else window
    if size < 1 or (rows - warm_up) % size:
        raise ValueError(f"window: given {window}, expected a divisor of {rows - warm_up}, the steps that count.")
    sizes = [CarryLayout.of(part.first).size for part in parts]
    if not 1 <= count <= sum(sizes):
        raise ValueError(f"count: given {count}, expected 1 to {sum(sizes)}, the entries of a state.")
    found = [
        _of_recurrence(part, jax.random.fold_in(key, index) if index else key, min(count, entries), size, warm_up)
        for index, (part, entries) in enumerate(zip(parts, sizes, strict=True))
    ]
    return found[0] if len(found) == 1 else jnp.sort(jnp.concatenate(found), descending=True)[:count]


class Part(NamedTuple):
    """One recurrence of a layer along its trajectory.

    Attributes:
        layer: the recurrence.
        xs: its own inputs ``[T, I]``.
        first: the state before its first step.
        solution: its trajectory.
    """

    layer: Recurrent
    xs: Tree
    first: Tree
    solution: Solution

    @property
    def rows(self) -> int:
        """T, the number of steps."""
        return jax.tree.leaves(self.xs)[0].shape[0]


def recurrences(layer: AbstractLayer, xs: Tree, state: Any = None) -> list[Part]:
    """The recurrences that a layer is made of, from the inputs upward, each with its inputs and trajectory.

    Args:
        layer: the layer.
        xs: inputs ``[T, I]``.
        state: the state before the first step, as the layer takes it.

    Raises:
        TypeError: ``layer`` is no layer of this module.
    """
    if isinstance(layer, Recurrent):
        _, _, solution = layer.rollout(xs, state)
        return [Part(layer, xs, layer.cell.ready().initial_state() if state is None else state, solution)]
    if not isinstance(layer, Stacked | Bidirectional):
        raise TypeError(f"layer: given {type(layer).__name__}, expected a Recurrent, Stacked or Bidirectional.")
    found: list[Part] = []
    if isinstance(layer, Bidirectional):
        states = each_of(state, 2, "state")
        return recurrences(layer.forward, xs, states[0]) + recurrences(layer.backward, xs, states[1])
    for part, before in zip(layer.layers, each_of(state, len(layer.layers), "state"), strict=True):
        above = recurrences(part, xs, before)
        outputs = [each.solution.ys for each in above]
        # Those of two directions side by side are one layer's; of a stack within a stack the last are.
        outputs = outputs if isinstance(part, Bidirectional) else outputs[-1:]
        xs = jax.tree.map(lambda *sides: jnp.concatenate(sides, axis=-1), *outputs)
        found += above
    return found


def _of_recurrence(part: Part, key: PRNGKeyArray, count: int, size: int, warm_up: int) -> Float[Array, " count"]:
    """The largest exponents of one recurrence along its trajectory, from windows of it side by side."""
    cell, first = part.layer.cell.ready(), part.first
    drives, states = cell.prepare(part.xs), part.solution.states
    if part.layer.reverse:
        drives, states = jax.tree.map(lambda leaf: leaf[::-1], (drives, states))
    before = jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest[:-1]]), first, states)
    windows = (part.rows - warm_up) // size
    index = size * jnp.arange(windows)[:, None] + jnp.arange(size + warm_up)
    layout = CarryLayout.of(first)
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
        flat, discrete = layout.ravel(state)

        def step(flat: Array) -> Array:
            return layout.ravel(cell.step(drive, layout.unravel(flat, discrete))[0])[0]

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
    """Mean square of the exponents' excess over a ceiling, zero below it: it acts only on a model that exceeds it.

    Args:
        exponents: what ``finite_time_exponents`` returned.
        ceiling: in 1/step, a negative number such as ``-14 / T`` for a memory of less than T steps.
    """
    return jnp.mean(jnp.maximum(exponents - ceiling, 0) ** 2)
