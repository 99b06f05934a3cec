"""In which parts a kernel holds the values of a step, so that no value has to be cut or joined while it runs.

A vector of entries is held as several arrays ``[entries, chunks]``, its parts. Where a slice or a concatenation takes
a part, the value is held in such parts from where it is read or computed: a product of a matrix and a vector is
computed for each part of its result, over each part of its operand. Small steps, and those in double precision, are
held entry by entry.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from .vectors import Elementwise, Entries, MatrixProduct, Move, UnfitError, Value

LEAST = 16
"""Least entries of a part that has more than one: as few as a product of matrices in a kernel takes."""

LARGEST = 64
"""Most entries of a part: operands of a product lie in shared memory, which larger ones would fill."""

SMALL, FEW_TERMS = 32, 160
"""Entries of the largest value, and terms of all products, up to which a step is held entry by entry."""

MOST_TERMS_IN_DOUBLE = 640
"""The same number of terms in double precision, in which a kernel has no products of matrices."""

MOST_PARTS = 1500
"""Most parts of all values, and products of them; a kernel of more would take too long to compile."""

Part = tuple[int, int]
"""First entry and number of entries."""

Load = Callable[[Any, Part, Part | None], Any]
"""Gives a part of a value that is known ``[entries, 1]``, or of a matrix ``[entries, entries of the operand]``."""


def padded(size: int) -> int:
    """Entries that a part takes up: one, or a power of two that a product of matrices takes.

    Args:
        size: of the part.
    """
    return 1 if size == 1 else max(LEAST, 1 << (size - 1).bit_length())


@dataclass(frozen=True, eq=False)
class Parts:
    """The operations of a step, and the parts of each value.

    Attributes:
        entries: the operations.
        of: the parts of each value.
        single: whether all values are held entry by entry.
    """

    entries: Entries
    of: dict[Value, list[Part]]
    single: bool

    def run(self, inputs: list[list[Any]], load: Load) -> list[list[Any]]:
        """The parts ``[entries, chunks]`` of the results.

        Args:
            inputs: the parts of each argument.
            load: gives parts of what is known.
        """
        held: dict[Value, list[Any]] = dict(zip(self.entries.inputs, inputs, strict=True))

        def parts_of(value: Value) -> list[Any]:
            if value not in held:
                held[value] = [load(value, part, None) for part in self.of[value]]
            return held[value]

        for each in self.entries.operations:
            if isinstance(each, Elementwise):
                found = self._elementwise(each, parts_of)
            elif isinstance(each, Move):
                found = self._moved(each, parts_of)
            else:
                found = self._multiplied(each, parts_of, load)
            held[each.out] = list(found)
        return [parts_of(value) for value in self.entries.outputs]

    def _elementwise(self, each: Elementwise, parts_of: Callable[[Value], list[Any]]) -> Iterator[Any]:
        """An operation at each entry, part by part."""
        operands = [parts_of(value) for value in each.operands]
        for number in range(len(self.of[each.out])):
            chosen = [parts[number] if len(parts) > 1 else parts[0] for parts in operands]
            yield each.apply(*jnp.broadcast_arrays(*chosen))

    def _moved(self, each: Move, parts_of: Callable[[Value], list[Any]]) -> Iterator[Any]:
        """The parts of a result, each of which is one of an operand, or one entry repeated."""
        for first, size in self.of[each.out]:
            number, place = _source(each, each.index[first])
            source = each.sources[number]
            found = parts_of(source)[[begin for begin, _ in self.of[source]].index(place)]
            yield found if padded(size) == found.shape[0] else jnp.broadcast_to(found, (padded(size), found.shape[1]))

    def _multiplied(self, each: MatrixProduct, parts_of: Callable[[Value], list[Any]], load: Load) -> Iterator[Any]:
        """A matrix times a vector: the sum over the operand's parts, for each part of the result."""
        operand = [
            (part, _without_padding(values, part[1]))
            for part, values in zip(self.of[each.operand], parts_of(each.operand), strict=True)
        ]
        for rows in self.of[each.out]:
            total: Any = None
            for columns, values in operand:
                term = _product(load(each, rows, columns), values)
                total = term if total is None else total + term
            yield total.astype(each.out.dtype)


def _product(matrix: Any, values: Any) -> Any:
    """A part of a matrix ``[rows, columns]`` times one of a vector ``[columns, chunks]``."""
    narrow = matrix.dtype.itemsize < 4
    if min(matrix.shape) > 1:
        wide = jnp.float32 if narrow else matrix.dtype
        return jnp.dot(matrix, values, precision=jax.lax.Precision.HIGHEST, preferred_element_type=wide)
    if narrow:
        matrix, values = matrix.astype(jnp.float32), values.astype(jnp.float32)
    if matrix.shape[1] == 1:
        return matrix * values
    return jnp.sum(matrix.reshape(-1, 1) * values, axis=0, keepdims=True)


def _without_padding(values: Any, size: int) -> Any:
    """A part with zeros where it has no entries: what is there may be infinite."""
    if values.shape[0] == size:
        return values
    inside = jnp.arange(values.shape[0], dtype=jnp.int32)[:, None] < size
    return jnp.where(inside, values, jnp.zeros_like(values))


def parts_of(entries: Entries, carried: int) -> Parts:
    """In which parts the values of a step are held.

    Args:
        entries: its operations.
        carried: how many of its arguments come back as its first results.

    Raises:
        UnfitError: there are too many parts, or products that a kernel does not have.
    """
    values = _values(entries)
    terms = sum(each.matrix.size for each in entries.operations if isinstance(each, MatrixProduct))
    double = any(value.dtype.itemsize == 8 and jnp.issubdtype(value.dtype, jnp.floating) for value in values)
    single = max(value.size for value in values) <= SMALL and terms <= FEW_TERMS
    if double and not single:
        if terms > MOST_TERMS_IN_DOUBLE:
            raise UnfitError(f"its products in double precision have {terms} terms, more than {MOST_TERMS_IN_DOUBLE}")
        single = True
    cuts = {value: set(range(value.size + 1)) if single else {0, value.size} for value in values}
    if not single:
        _settle(entries, carried, cuts)
        for each in cuts.values():
            each |= {cut for first, size in _between(sorted(each)) for cut in range(first, first + size, LARGEST)}
        _settle(entries, carried, cuts)
    of = {value: _between(sorted(each)) for value, each in cuts.items()}
    products = (each for each in entries.operations if isinstance(each, MatrixProduct))
    count = sum(map(len, of.values())) + sum(len(of[each.out]) * len(of[each.operand]) for each in products)
    if count > MOST_PARTS:
        raise UnfitError(f"it computes {count} parts of values, more than {MOST_PARTS}")
    return Parts(entries, of, single)


def _values(entries: Entries) -> list[Value]:
    """All values of a step."""
    found: dict[Value, None] = dict.fromkeys(entries.inputs)
    for each in entries.operations:
        operands = each.operands if isinstance(each, Elementwise) else ()
        operands = each.sources if isinstance(each, Move) else operands
        operands = (each.operand,) if isinstance(each, MatrixProduct) else operands
        found.update(dict.fromkeys(operands))
        found[each.out] = None
    found.update(dict.fromkeys(entries.outputs))
    return list(found)


def _between(cuts: list[int]) -> list[Part]:
    """The parts between some cuts."""
    return [(first, last - first) for first, last in itertools.pairwise(cuts)]


def _settle(entries: Entries, carried: int, cuts: dict[Value, set[int]]) -> None:
    """Cut values until every operation finds the parts that it needs."""
    rules: list[Callable[[], None]] = []
    for before, after in zip(entries.inputs[:carried], entries.outputs[:carried], strict=True):
        rules.append(partial(_alike, cuts, [before, after]))
    for each in entries.operations:
        if isinstance(each, Elementwise):
            alike = [value for value in (*each.operands, each.out) if value.size == each.out.size]
            rules.append(partial(_alike, cuts, alike))
        elif isinstance(each, Move):
            rules.append(partial(_along, cuts, each, _runs(each)))
    count = -1
    while count != (count := sum(map(len, cuts.values()))):
        for rule in rules:
            rule()


def _alike(cuts: dict[Value, set[int]], values: list[Value]) -> None:
    """Values that are cut alike."""
    together = set().union(*(cuts[value] for value in values))
    for value in values:
        cuts[value] |= together


Run = tuple[int, int, Value, int, bool]
"""First entry of a result and the one after the last, the source, its first entry, and whether that one is repeated."""


def _runs(move: Move) -> list[Run]:
    """The stretches of a result that are stretches of a source, or one entry of it."""
    index, found, first = move.index, [], 0
    while first < len(index):
        number, place = _source(move, index[first])
        end, source = first + 1, move.sources[number]
        step = int(index[end] - index[first]) if end < len(index) else 1
        if step in (0, 1):
            last = source.size - place if step else len(index)
            while end < len(index) and index[end] - index[end - 1] == step and end - first < last:
                end += 1
        found.append((first, end, source, place, step == 0 and end - first > 1))
        first = end
    return found


def _along(cuts: dict[Value, set[int]], move: Move, runs: list[Run]) -> None:
    """A result that is cut where its sources are, and they where it is."""
    for first, end, source, place, repeated in runs:
        cuts[move.out] |= {first, end}
        if repeated:
            cuts[source] |= {place, place + 1}
            continue
        last = place + end - first
        cuts[source] |= {place, last} | {place + cut - first for cut in cuts[move.out] if first < cut < end}
        cuts[move.out] |= {first + cut - place for cut in cuts[source] if place < cut < last}


def _source(move: Move, number: int) -> tuple[int, int]:
    """Which source holds an entry, and where, by its number among those of all sources."""
    for source, value in enumerate(move.sources):
        if number < value.size:
            return source, int(number)
        number -= value.size
    raise ValueError(f"number: given {number} beyond all sources.")
