"""Rules of the primitives that only move entries: exact where the places are known, conservative elsewhere."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import JaxprEqn

from ..primitives import HANDED_ON, SCATTERS
from .facts import (
    Fact,
    Ids,
    Rule,
    everything,
    move,
    numbered,
    opaque,
    reading,
    shape_of,
    union,
    union_support,
    width_of,
)


def _reshape(params: dict[str, Any], ids: Ids) -> Ids:
    """Numbers after `reshape`."""
    order = params.get("dimensions")
    return (ids if order is None else ids.transpose(order)).reshape(params["new_sizes"])


def _broadcast(params: dict[str, Any], ids: Ids) -> Ids:
    """Numbers after `broadcast_in_dim`."""
    spread = [1] * len(params["shape"])
    for axis, size in zip(params["broadcast_dimensions"], ids.shape, strict=True):
        spread[axis] = size
    return np.broadcast_to(ids.reshape(spread), params["shape"])


def _slice(params: dict[str, Any], ids: Ids) -> Ids:
    """Numbers after `slice`."""
    strides = params["strides"] or (1,) * ids.ndim
    return ids[tuple(map(slice, params["start_indices"], params["limit_indices"], strides))]


def _pad(params: dict[str, Any], ids: Ids, filler: Ids) -> Ids:
    """Numbers after `pad`, whose margins may be negative and whose entries may be spread apart."""
    for axis, (low, high, gap) in enumerate(params["padding_config"]):
        count = ids.shape[axis]
        places = low + np.arange(count) * (gap + 1)
        size = low + high + count + max(count - 1, 0) * gap
        inside = (places >= 0) & (places < size)
        padded = np.full((*ids.shape[:axis], size, *ids.shape[axis + 1 :]), filler.item())
        np.moveaxis(padded, axis, 0)[places[inside]] = np.moveaxis(ids, axis, 0)[inside]
        ids = padded
    return ids


def _window(starts: Sequence[np.ndarray], sizes: Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
    """The slices of a dynamic slice, clamped into the array as XLA does."""
    begins = [min(max(int(start), 0), n - size) for start, size, n in zip(starts, sizes, shape, strict=True)]
    return tuple(slice(begin, begin + size) for begin, size in zip(begins, sizes, strict=True))


def _dynamic_slice(params: dict[str, Any], ids: Ids, *starts: np.ndarray) -> Ids:
    """Numbers after `dynamic_slice` at known starts."""
    return ids[_window(starts, params["slice_sizes"], ids.shape)]


def _dynamic_update_slice(params: dict[str, Any], ids: Ids, update: Ids, *starts: np.ndarray) -> Ids:
    """Numbers after `dynamic_update_slice` at known starts."""
    updated = ids.copy()
    updated[_window(starts, update.shape, ids.shape)] = update
    return updated


def _gathered(params: dict[str, Any], ids: Ids, indices: np.ndarray) -> Ids:
    """Numbers after `gather` at known indices; what lies outside becomes -1 where the mode fills."""
    options: Any = params | {"fill_value": -1}
    with jax.ensure_compile_time_eval():
        return np.asarray(jax.lax.gather(ids.astype(np.int32), indices, **options))


_PLACES: dict[str, tuple[int | None, Callable[..., Ids]]] = {
    "broadcast_in_dim": (None, _broadcast),
    "concatenate": (None, lambda params, *ids: np.concatenate(ids, params["dimension"])),
    "dynamic_slice": (1, _dynamic_slice),
    "dynamic_update_slice": (2, _dynamic_update_slice),
    "pad": (None, _pad),
    "reshape": (None, _reshape),
    "rev": (None, lambda params, ids: np.flip(ids, params["dimensions"])),
    "slice": (None, _slice),
    "stack": (None, lambda params, *ids: np.stack(ids, params["axis"])),
    "tile": (None, lambda params, ids: np.tile(ids, params["reps"])),
    "squeeze": (None, lambda params, ids: np.squeeze(ids, tuple(params["dimensions"]))),
    "transpose": (None, lambda params, ids: ids.transpose(params["permutation"])),
}
"""Primitives that only move entries: how many of their operands they move (None: all, else indices follow), and how."""


def _moving(eqn: JaxprEqn, operands: Sequence[Fact]) -> list[Fact]:
    """Rule of the primitives in `_PLACES`: exact if the indices are known, else opaque."""
    count, place = _PLACES[eqn.primitive.name]
    moved, indices = (operands, ()) if count is None else (operands[:count], operands[count:])
    known = [fact.value for fact in indices if fact.value is not None]
    if len(known) < len(indices):
        return opaque(eqn, operands)
    if all(fact.blank for fact in moved):
        return [Fact(shape_of(eqn.outvars[0]))]
    return [move(moved, place(eqn.params, *numbered(moved), *known))]


def _gather(eqn: JaxprEqn, operands: Sequence[Fact]) -> list[Fact]:
    """Rule of `gather`: at unknown indices an entry may come from anywhere, and depends on its own indices."""
    shape, (operand, indices) = shape_of(eqn.outvars[0]), operands
    if indices.value is not None and operand.blank:
        return [Fact(shape)]
    if indices.value is not None:
        return [move(operands[:1], _gathered(eqn.params, numbered(operands[:1])[0], indices.value))]
    sources = [reading((), everything([operand]))]
    if indices.reads is not None:
        window = eqn.params["dimension_numbers"].offset_dims
        spread = tuple(1 if axis in window else size for axis, size in enumerate(shape))
        sources.append(Fact(spread, indices.reads.any(-2).reshape(*spread, indices.reads.shape[-1])))
    return [Fact(shape, union(sources, shape))]


def _unstack(eqn: JaxprEqn, operands: Sequence[Fact]) -> list[Fact]:
    """Rule of `unstack`."""
    return [move(operands, ids) for ids in np.moveaxis(numbered(operands)[0], eqn.params["axis"], 0)]


def _unchanged(eqn: JaxprEqn, operands: Sequence[Fact]) -> list[Fact]:
    """Rule of primitives that hand their operands on."""
    return list(operands)


def _split(eqn: JaxprEqn, operands: Sequence[Fact]) -> list[Fact]:
    """Rule of `split`."""
    bounds = np.cumsum(eqn.params["sizes"])[:-1]
    return [move(operands, ids) for ids in np.split(numbered(operands)[0], bounds, eqn.params["axis"])]


def _select(eqn: JaxprEqn, operands: Sequence[Fact]) -> list[Fact]:
    """Rule of `select_n`: the chosen case under a known predicate, else all the cases and the predicate."""
    shape, (predicate, *cases) = shape_of(eqn.outvars[0]), operands
    if predicate.value is None:
        return [Fact(shape, union(operands, shape), union_support(cases, shape))]
    which = np.broadcast_to(predicate.value, shape).astype(int)
    return [move(cases, np.take_along_axis(np.stack(numbered(cases)), which[None], 0)[0])]


def _targets(params: dict[str, Any], ids: Ids, indices: np.ndarray, updates: tuple[int, ...]) -> Ids:
    """Number of the operand entry which each update of a scatter reaches; -1 where the update is dropped."""
    places = params["dimension_numbers"]
    sizes = iter(updates[axis] for axis in places.update_window_dims)
    single = (*places.inserted_window_dims, *places.operand_batching_dims)
    reached_by = {
        "dimension_numbers": jax.lax.GatherDimensionNumbers(
            offset_dims=places.update_window_dims,
            collapsed_slice_dims=places.inserted_window_dims,
            start_index_map=places.scatter_dims_to_operand_dims,
            operand_batching_dims=places.operand_batching_dims,
            start_indices_batching_dims=places.scatter_indices_batching_dims,
        ),
        "slice_sizes": tuple(1 if axis in single else next(sizes) for axis in range(ids.ndim)),
        "mode": params["mode"],
    }
    return _gathered(reached_by, ids, indices)


def _scatter(eqn: JaxprEqn, operands: Sequence[Fact]) -> list[Fact]:
    """Rule of scatters to known places: what an entry held, unless overwritten, and all the updates that reach it."""
    operand, indices, updates = operands
    overwrites = eqn.primitive.name == "scatter"
    # A "scatter" with an update function of its own (`.at[].apply`) does not assign.
    if indices.value is None or (overwrites and eqn.params["update_jaxpr"] is not None):
        return opaque(eqn, operands)
    width = width_of((operand, updates))
    if width is None:
        return [Fact(operand.shape)]
    (ids,) = numbered([operand])
    places = _targets(eqn.params, ids, indices.value, updates.shape).ravel()
    kept = ids.ravel().copy()
    if overwrites:
        kept[places[places >= 0]] = -1
    reads = union([move([operand], kept)], kept.shape)
    reads = np.zeros((kept.size, width), bool) if reads is None else reads
    if updates.reads is not None:
        np.logical_or.at(reads, places[places >= 0], updates.reads.reshape(-1, width)[places >= 0])
    return [Fact(operand.shape, reads.reshape(*operand.shape, width))]


MOVES: dict[str, Rule] = {
    **dict.fromkeys(_PLACES, _moving),
    **dict.fromkeys(SCATTERS, _scatter),
    **dict.fromkeys(HANDED_ON, _unchanged),
    "gather": _gather,
    "select_n": _select,
    "split": _split,
    "unstack": _unstack,
}
"""Rules of data movement by the name of the primitive."""
