"""How much every step of a trajectory stretches a frame of directions, with windows of the trajectory side by side.

The states do not depend on the directions, so they come first, one step after the other, unless they are known. Then
the trajectory is cut into windows (the ``chunks`` of ``lyapunov_exponents``), which push their frames at the same time:
the frame of a window starts some steps before it, from a random position, and has turned by the time that its steps
count. Long trajectories are worked off in segments, so that only the states of one segment are held; the frame goes on
from one segment to the next.
"""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ...problem.flat_recurrence import Recurrence
from ...programs.derivatives import refuse_steps_without_derivative
from ...solution import State, Trajectory, Tree
from .side_by_side import SideBySideStep, last

MOST_CHUNKS = 32
"""Most windows of a segment that run side by side."""

SHORTEST_WINDOW = 256
"""Least steps of a window where a segment has several."""

BURN_IN_SHARE = 4
"""The default burn-in of a frame is the length of its window over this number."""

ENTRIES_OF_A_SEGMENT = 2**22
"""Most entries of the states that are held at a time."""

MOST_PASSES = 4
"""Most times that all windows of a segment are run."""

VISIBLE_BIAS = 0.5
"""The windows run again if the bias of a mean is larger than this part of its standard error."""

ROUNDING = 8
"""A bias of fewer units of rounding is ignored."""

SMALL_STATE = 8
"""Largest D for which, where the states are not known, one direction advances together with them instead of in windows:
such a step takes less time than moving its state into a window."""

STEPS_OF_A_CELL = {"float64": 16, "float32": 4}
"""Steps after which a single direction that advances with the states is brought back to unit length, by dtype."""

UNROLLED_COLUMNS = 8
"""Most columns of a frame that are made orthogonal one by one over all windows, rather than by a QR of each window."""


class Windows(eqx.Module):
    """How a trajectory is cut into segments, and these into windows.

    Attributes:
        length: T.
        segments: stretches that are worked off one after the other.
        chunks: windows of a segment that run side by side.
        rows: steps of a window.
        burn_in: steps for which a frame turns before its window.
    """

    length: int = eqx.field(static=True)
    segments: int = eqx.field(static=True)
    chunks: int = eqx.field(static=True)
    rows: int = eqx.field(static=True)
    burn_in: int = eqx.field(static=True)

    @classmethod
    def of(cls, length: int, size: int, chunks: int | None = None, burn_in: int | None = None) -> "Windows":
        """The cut that suits the sizes.

        Args:
            length: T, one or more.
            size: D.
            chunks: windows that run side by side; chosen by the sizes when None.
            burn_in: steps of burn-in, a window's length at most; chosen by the sizes when None.
        """
        segments = -(-length // max(ENTRIES_OF_A_SEGMENT // size, MOST_CHUNKS * SHORTEST_WINDOW))
        segment = -(-length // segments)
        if chunks is None:
            chunks = min(MOST_CHUNKS, max(segment // SHORTEST_WINDOW, 1))
        rows = -(-segment // min(chunks, segment))
        chunks = -(-segment // rows)
        if burn_in is None:
            burn_in = -(-rows // BURN_IN_SHARE)
        return cls(length, segments, chunks, rows, 0 if chunks == 1 else min(burn_in, rows))

    @property
    def segment(self) -> int:
        """Steps of a segment; the last one may have fewer."""
        return -(-self.length // self.segments)


class Stretches(NamedTuple):
    """How much directions stretch along a trajectory.

    Attributes:
        logs: mean log stretch in each cell of steps, per step ``[C V k]``.
        cell: steps of a cell.
        bias: estimated error of the mean because frames had not fully turned where windows begin.
        windows: how the trajectory was cut.
    """

    logs: Float[Array, "C V k"]
    cell: int
    bias: Float[Array, " k"]
    windows: Windows


def log_stretches(
    recurrence: Recurrence,
    frames: Float[Array, "V k D"],
    states: Trajectory | None = None,
    chunks: int | None = None,
    burn_in: int | None = None,
    divides: int = 0,
) -> Stretches:
    """Logarithms of the diagonal of R in ``J_t Q_{t-1} = Q_t R_t``, averaged over cells of few steps or one.

    Depth T where the states are not known, then T over the windows; work T steps and ``T V k`` products, and those of
    the burn-in; memory ``T V k`` over the steps of a cell, and the states of a segment.

    Args:
        recurrence: the system, with one step or more.
        frames: start directions; orthonormal rows.
        states: the trajectory ``[T D]`` where it is known.
        chunks: windows that run side by side; chosen by the sizes when None.
        burn_in: steps for which a frame turns before its window; chosen by the sizes when None.
        divides: number of steps that cells must divide, besides T; zero for none.
    """
    refuse_steps_without_derivative(recurrence)
    if chunks is None and states is None and frames.shape[1] == 1 and recurrence.size <= SMALL_STATE:
        cell = math.gcd(STEPS_OF_A_CELL.get(str(recurrence.dtype), 1), recurrence.length, divides)
        logs, bias = _hand_in_hand(recurrence, frames, cell), jnp.zeros(1, frames.dtype)
        return Stretches(logs, cell, bias, Windows(recurrence.length, 1, 1, recurrence.length, 0))
    windows = Windows.of(recurrence.length, recurrence.size, chunks, burn_in)
    return Stretches(*_in_windows(recurrence, frames, states, windows), windows)


def _hand_in_hand(recurrence: Recurrence, frames: Float[Array, "V 1 D"], cell: int) -> Float[Array, "C V 1"]:
    """Mean log stretches of cells, directions and state advancing together."""

    def one(carry: tuple[State, Array], x: Tree) -> tuple[tuple[State, Array], None]:
        state, linear = jax.linearize(lambda s: recurrence.advance(s, x), carry[0])
        return (state, jax.vmap(linear)(carry[1])), None

    def of_cell(carry: tuple[State, Array], xs: Tree) -> tuple[tuple[State, Array], Array]:
        state, vectors = jax.lax.scan(one, carry, xs, cell)[0]
        # By the largest entry first, whose square may overflow or vanish after so many steps.
        largest = jnp.max(jnp.abs(vectors), axis=1, keepdims=True)
        scaled = vectors / jnp.where(largest > 0, largest, 1)
        norms = jnp.sqrt(jnp.sum(scaled**2, axis=1, keepdims=True))
        stretches = jnp.where(jnp.all(jnp.isfinite(state)), norms * largest, jnp.nan)
        return (state, scaled / jnp.where(largest > 0, norms, 1)), stretches[:, 0]

    cells = recurrence.length // cell
    xs = jax.tree.map(lambda leaf: leaf.reshape(cells, cell, *leaf.shape[1:]), recurrence.inputs)
    norms = jax.lax.scan(of_cell, (recurrence.initial, frames[:, 0]), xs, cells)[1]
    return jnp.log(norms)[..., None] / cell


def _in_windows(
    recurrence: Recurrence, frames: Float[Array, "V k D"], states: Trajectory | None, windows: Windows
) -> tuple[Float[Array, "T V k"], int, Float[Array, " k"]]:
    """Log stretches of all steps, the number one, and the bias of their mean."""
    step = SideBySideStep(recurrence.advance)
    rows = jnp.arange(windows.segments * windows.segment)

    def cut(leaf: Array) -> Array:
        if len(rows) != windows.length:
            # Padding repeats the last step, which cannot fail there; it counts nothing.
            leaf = leaf[jnp.minimum(rows, windows.length - 1)]
        return leaf.reshape(windows.segments, windows.segment, *leaf.shape[1:])

    def segment(carry: tuple[State, Array], xs: tuple[Tree, Array | None, Array]) -> tuple[Tree, Tree]:
        inputs, before, real = xs
        state, frames = carry
        if before is None:
            state, before = jax.lax.scan(lambda s, x: (recurrence.advance(s, x), s), state, inputs, windows.segment)
        frames, logs, bias = _side_by_side(step, frames, (before, inputs), real, windows)
        # A linear step has finite Jacobians wherever the state is.
        logs = jnp.where(jnp.all(jnp.isfinite(before), axis=1)[:, None, None], logs, jnp.nan)
        return (state, frames), (logs, bias)

    known = None if states is None else cut(recurrence.previous(states))
    real = jnp.clip(windows.length - windows.segment * jnp.arange(windows.segments), 0, windows.segment)
    start = (recurrence.initial, frames)
    xs = (jax.tree.map(cut, recurrence.inputs), known, real)
    if windows.segments == 1:
        logs, bias = segment(start, jax.tree.map(lambda leaf: leaf[0], xs))[1]
        return logs, 1, bias
    logs, bias = jax.lax.scan(segment, start, xs)[1]
    return logs.reshape(-1, *logs.shape[2:])[: windows.length], 1, jnp.mean(bias, axis=0)


class _Pass(NamedTuple):
    """The results of one pass over all windows of a segment.

    Attributes:
        after: frames at the ends of the windows.
        logs: log stretches by row and window.
        bias: estimated error of their mean because frames had not fully turned.
        number: passes so far.
    """

    after: Float[Array, "V k D P"]
    logs: Float[Array, "R V k P"]
    bias: Float[Array, " k"]
    number: Int[Array, ""]


def _side_by_side(
    step: SideBySideStep, frames: Float[Array, "V k D"], steps: Tree, real: Int[Array, ""], windows: Windows
) -> tuple[Float[Array, "V k D"], Float[Array, "S V k"], Float[Array, " k"]]:
    """The frames after a segment, the log stretches of its steps, and the bias of their mean.

    Where the frames have not turned enough, all windows run again, each from where the one before it ended: its frame
    has then turned for one window more.
    """
    chunks, rows, burn_in = windows.chunks, windows.rows, windows.burn_in
    index = jnp.arange(chunks) * rows - burn_in + jnp.arange(burn_in + rows)[:, None]
    valid = (index >= 0) & (index < real)
    gathered = jax.tree.map(lambda leaf: leaf[jnp.clip(index, 0, windows.segment - 1)], steps)

    def one(frames: Array, row: tuple[Tree, Array]) -> tuple[Array, Array]:
        (state, x), counts = last(row)
        turned, stretches = orthonormal(step.push(state, x, frames))
        return jnp.where(counts, turned, frames), jnp.where(counts, stretches, 1)

    def again(before: _Pass) -> _Pass:
        start = jnp.concatenate([frames[..., None], before.after[..., :-1]], axis=-1)
        after, stretches = jax.lax.scan(one, start, jax.tree.map(lambda leaf: leaf[burn_in:], (gathered, valid)))
        logs = jnp.log(stretches)
        bias = jnp.abs(jnp.mean(logs - before.logs, axis=(0, 1, 3)))
        return _Pass(after, logs, bias, before.number + 1)

    start = jnp.broadcast_to(frames[..., None], (*frames.shape, chunks))
    after, stretches = jax.lax.scan(one, start, (gathered, valid))
    # Outside the loop over rows, where logarithms of many numbers at once are cheap.
    done = _Pass(after, jnp.log(stretches[burn_in:]), _overlap(stretches, windows), jnp.int32(1))
    if chunks > 1:
        done = jax.lax.while_loop(lambda done: _goes_on(done, windows), again, done)
    # [R V k P] to [P R V k]: window after window.
    logs = jnp.moveaxis(done.logs, -1, 0).reshape(chunks * rows, *frames.shape[:2])
    return done.after[..., (windows.segment - 1) // rows], logs[: windows.segment], done.bias


def _goes_on(done: _Pass, windows: Windows) -> Bool[Array, ""]:
    """Whether the bias is still visible beside the standard error of a mean over the windows."""
    means = jnp.mean(done.logs, axis=(0, 1))
    error = jnp.std(means, axis=-1) / windows.chunks**0.5
    least = ROUNDING * jnp.finfo(means.dtype).eps
    return (done.number < MOST_PASSES) & jnp.any(done.bias > jnp.maximum(VISIBLE_BIAS * error, least))


def _overlap(stretches: Float[Array, "rows V k P"], windows: Windows) -> Float[Array, " k"]:
    """Bias of the mean, from steps that two windows have in common: the burn-in of one is the end of the one before.

    The error of a frame shrinks as it turns, so that it changes the whole window by no more than it changes the second
    half of the burn-in.
    """
    if windows.burn_in < 2 or windows.chunks == 1:
        return jnp.full(stretches.shape[2], 0 if windows.chunks == 1 else jnp.inf, stretches.dtype)
    half = windows.burn_in // 2
    late = jnp.log(stretches[half : windows.burn_in, ..., 1:] / stretches[windows.rows + half :, ..., :-1])
    return jnp.abs(jnp.mean(late, axis=(0, 1, 3))) * (late.shape[0] / windows.rows)


def orthonormal(frames: Float[Array, "... k D P"]) -> tuple[Float[Array, "... k D P"], Float[Array, "... k P"]]:
    """Orthonormal frames of the same flags, and the diagonal of R.

    A direction that vanishes stays zero.
    """
    columns = frames.shape[-3]
    if columns > UNROLLED_COLUMNS:
        stacked = jnp.moveaxis(frames, -1, -3).swapaxes(-1, -2)
        q, r = jnp.linalg.qr(stacked)
        stretches = jnp.abs(jnp.diagonal(r, axis1=-2, axis2=-1))
        return jnp.moveaxis(q.swapaxes(-1, -2), -3, -1), jnp.moveaxis(stretches, -2, -1)
    done, stretches = [], []
    for column in range(columns):
        vector = frames[..., column, :, :]
        # Twice, since what one pass leaves of a nearly dependent column is mostly rounding.
        for _ in range(2 if done else 0):
            for other in done:
                vector = vector - jnp.sum(other * vector, axis=-2, keepdims=True) * other
        norm = jnp.sqrt(jnp.sum(vector * vector, axis=-2))
        stretches.append(norm)
        done.append(jnp.where(norm == 0, 0, 1 / norm)[..., None, :] * vector)
    return jnp.stack(done, axis=-3), jnp.stack(stretches, axis=-2)
