"""A window of a stream: where its arrays lie, what of it this process has, and where the next one starts."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, NamedSharding, PartitionSpec

from ..programs.device_axis import axis_of
from ..solution import Tree


class Window:
    """A window of steps, on one device or cut over those of a mesh along time.

    Args:
        steps: that are solved together.
        given: the user's mesh, or None.
        fits: whether the steps may become as many as the devices divide, since there are fewer than were asked for.

    Attributes:
        steps: that are solved together.
        mesh: the devices, None for one.
        own: first and last step, exclusive, that this process has of a window.

    Raises:
        TypeError: it is no mesh.
        ValueError: the devices do not divide the steps, or this process has steps that do not follow each other.
    """

    def __init__(self, steps: int, given: Any, *, fits: bool) -> None:
        axis = None if given is None else axis_of(given)
        self.steps, self.mesh, self.own = steps, None, (0, steps)
        if axis is None:
            return
        if isinstance(axis.mesh, AbstractMesh):
            raise TypeError("mesh: given an AbstractMesh, expected a jax.sharding.Mesh or None.")
        if fits:
            self.steps = -(-steps // axis.size) * axis.size
        if self.steps % axis.size:
            raise ValueError(
                f"window: given {steps}, expected a multiple of {axis.size}, the devices that the mesh has for time."
            )
        self.mesh = axis.mesh
        self._everywhere = NamedSharding(axis.mesh, PartitionSpec())
        self._by_time = NamedSharding(axis.mesh, axis.rows())
        self.own = _own_steps(self._by_time, self.steps)
        self._settled = jax.jit(lambda tree: tree, out_shardings=self._by_time)
        self._last = jax.jit(_last, out_shardings=self._everywhere)
        self._shift = jax.jit(_shift, out_shardings=(self._everywhere, self._by_time))
        self._repeat = jax.jit(self._repeated, out_shardings=self._by_time)

    def inputs(self, rows: Tree) -> Tree:
        """The rows of a window, each device having its own.

        Args:
            rows: as many as the window has steps, all of them on every process.
        """
        return rows if self.mesh is None else jax.tree.map(lambda leaf: self._spread(leaf, 0), rows)

    def repeated(self, carry: Tree) -> Tree:
        """A carry at every step."""
        return self._repeated(carry) if self.mesh is None else self._repeat(carry)

    def advanced(self, states: Tree, count: int) -> tuple[Tree, Tree]:
        """The carry after some steps, and the guess for the window that starts there.

        Args:
            states: of this window.
            count: steps that are done.
        """
        if self.mesh is None:
            return _shift_here(states, jnp.asarray(count, jnp.int32))
        if count < self.steps:
            carry, guess = self._shift(states, jnp.asarray(count, jnp.int32))
            return jax.tree.map(_local, carry), guess
        # The usual case, in which nothing but the last state moves.
        carry = jax.tree.map(_local, self._last(states))
        return carry, self.repeated(carry)

    def on_host(self, tree: Tree, count: int) -> Tree:
        """The rows of the first steps that this process has, as arrays of numpy.

        Args:
            tree: states or outputs of the window.
            count: steps that are done.
        """
        if self.mesh is None:
            return jax.tree.map(lambda leaf: on_host(leaf)[:count], tree)
        held = max(min(self.own[1], count) - self.own[0], 0)
        return jax.tree.map(lambda leaf: on_host(_own_rows(leaf))[:held], self._settled(tree))

    def stored(self, guess: Tree) -> Tree:
        """What a state file of this process keeps of a guess."""
        return guess if self.mesh is None else jax.tree.map(_own_rows, guess)

    def restored(self, own: Tree) -> Tree:
        """The guess of which a state file has kept the rows of this process."""
        return own if self.mesh is None else jax.tree.map(lambda leaf: self._spread(leaf, self.own[0]), own)

    def _repeated(self, carry: Tree) -> Tree:
        """A carry at every step, on one device."""
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (self.steps, *leaf.shape)), carry)

    def _spread(self, leaf: Any, first: int) -> jax.Array:
        """An array over the devices, of whose rows this process has those from the first one on."""
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data = self._spread(jax.random.key_data(leaf), first)
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
        here = np.asarray(leaf)

        kind = jax.dtypes.canonicalize_dtype(here.dtype)

        def rows(index: Any) -> np.ndarray:
            start, stop, _ = index[0].indices(self.steps)
            return here[start - first : stop - first].astype(kind)

        return jax.make_array_from_callback((self.steps, *here.shape[1:]), self._by_time, rows)


def on_host(leaf: Any) -> Any:
    """An array of numpy; keys stay what they are.

    Args:
        leaf: an array of this process.
    """
    return leaf if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else np.asarray(leaf)


def _own_steps(by_time: NamedSharding, steps: int) -> tuple[int, int]:
    """First and last step, exclusive, that this process has."""
    held = by_time.addressable_devices_indices_map((steps,)).values()
    parts = sorted({index[0].indices(steps)[:2] for index in held if index is not None})
    if not parts or any(one[1] != other[0] for one, other in itertools.pairwise(parts)):
        raise ValueError(
            f"mesh: given one in which process {jax.process_index()} has steps {parts} of {steps}, expected that the "
            "devices of each process are side by side along time."
        )
    return parts[0][0], parts[-1][1]


def _own_rows(leaf: jax.Array) -> jax.Array:
    """The rows of an array that this process has; those of several devices joined."""
    parts = {shard.index[0].start or 0: shard.data for shard in leaf.addressable_shards}
    rows = [_local(parts[start]) for start in sorted(parts)]
    return rows[0] if len(rows) == 1 else jnp.concatenate(rows)


def _local(leaf: jax.Array) -> jax.Array:
    """An array that every device has, bound to none: a resumed stream has such ones too, and runs the same program."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(_local(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
    return jnp.asarray(np.asarray(leaf.addressable_data(0)))


def _last(states: Tree) -> Tree:
    """The state after the last step."""
    return jax.tree.map(lambda leaf: leaf[-1], states)


def _shift(states: Tree, count: jax.Array) -> tuple[Tree, Tree]:
    """The carry after some steps of a window, and the guess for the window that starts there."""
    window = len(jax.tree.leaves(states)[0])
    carry = jax.tree.map(lambda leaf: leaf[count - 1], states)
    ahead = jnp.arange(window) + count
    known = ahead < window
    for leaf in jax.tree.leaves(states):
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            finite = jnp.all(jnp.isfinite(leaf), axis=tuple(range(1, leaf.ndim)))
            known &= finite[jnp.minimum(ahead, window - 1)]

    def move(leaf: jax.Array, last: jax.Array) -> jax.Array:
        flags = known.reshape(-1, *[1] * (leaf.ndim - 1))
        return jnp.where(flags, leaf[jnp.minimum(ahead, window - 1)], last[None])

    return carry, jax.tree.map(move, states, carry)


_shift_here: Callable[[Tree, jax.Array], tuple[Tree, Tree]] = jax.jit(_shift)
