"""A function of single steps for all steps, in portions that fit the caches, on one device or on each of several."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from ..solution import Tree
from .built_in import here
from .device_axis import DeviceAxis
from .platform import platform_of


def in_portions(function: Callable[..., Tree], devices: DeviceAxis | None = None) -> Callable[..., Tree]:
    """A function of single steps for all steps, as ``jax.vmap`` gives it, with a reverse mode that recomputes.

    On a CPU one portion of steps follows the other, each so small that its intermediate values stay in the nearest
    cache: measured twice as fast forward and backward as all steps at once (GRU of 64 units).

    Args:
        function: of rows with no leading axis.
        devices: that the steps are cut over, each of which takes its own.
    """
    if devices is not None:
        return _by_device(function, devices)
    mapped = jax.checkpoint(jax.vmap(function))

    def run(*rows: Tree) -> Tree:
        length = jax.tree.leaves(rows)[0].shape[0]
        portion = here(platform_of(rows)).portion
        whole = length - length % portion
        if whole < 2 * portion:
            return mapped(*rows)
        portions = jax.tree.map(lambda leaf: leaf[:whole].reshape(whole // portion, portion, *leaf.shape[1:]), rows)
        out = jax.lax.scan(lambda _, portion: (None, mapped(*portion)), None, portions)[1]
        out = jax.tree.map(lambda leaf: leaf.reshape(whole, *leaf.shape[2:]), out)
        if whole == length:
            return out
        rest = mapped(*jax.tree.map(lambda leaf: leaf[whole:], rows))
        return jax.tree.map(lambda *parts: jnp.concatenate(parts), out, rest)

    return run


def _by_device(function: Callable[..., Tree], devices: DeviceAxis) -> Callable[..., Tree]:
    """A function of single steps for all steps, in portions on each device."""
    arrays, rest = eqx.partition(function, eqx.is_array)

    def run(*rows: Tree) -> Tree:
        if not devices.divides(jax.tree.leaves(rows)[0].shape[0]):
            return in_portions(function)(*rows)

        def part(arrays: Tree, *rows: Tree) -> Tree:
            return in_portions(eqx.combine(arrays, rest))(*rows)

        return devices.over(part, (PartitionSpec(), *(devices.rows() for _ in rows)), devices.rows())(arrays, *rows)

    return run
