"""The record of a machine: what elementary work costs on it and how large its parts are, and where each number is from.

All numbers of one machine that decide which way a call runs are here. They never decide what it answers.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from .json_object import json_object

FORM = 4
"""Version of the record and of its JSON form."""

Source = Literal["calibrated", "detected", "built-in", "not measured"]


class Link(NamedTuple):
    """Seconds of a linear recurrence by one backend.

    Attributes:
        step: of each of its steps.
        entry: for each entry of a step's matrix.
        product: for each operation of a product of two such matrices, where these are formed.
        level: of each level of a tree of products.
    """

    step: float
    entry: float
    product: float = 0.0
    level: float = 0.0

    def seconds(self, length: int, width: int, entries: int) -> float:
        """Time of a whole recurrence.

        Args:
            length: steps.
            width: columns of a matrix, or of each of its blocks.
            entries: of a matrix that are stored.
        """
        step = self.step + self.entry * entries + self.product * entries * width
        return length * step + self.level * 2 * math.log2(max(length, 2))


class Links(NamedTuple):
    """Seconds of linear recurrences over stored matrices, by backend."""

    sequential: Link
    associative: Link
    chunked: Link


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """Sizes of one device, and seconds of elementary work on it in one precision.

    Steps are of two kinds: of a *small* step XLA makes one loop of a few instructions, and it waits for one operation
    after the other; of a *large* one each product of matrices is a loop of its own.

    Attributes:
        cores: processors that a process may use.
        near_bytes: of the nearest cache of data.
        near_ways: places in it for addresses that are alike in their lower digits.
        far_bytes: of the last cache.
        vector_bytes: of a vector register.
        call: of a compiled call, whatever it does.
        turn: of a loop turn in which a small step computes nothing.
        wait: that the next operation waits for one of plain arithmetic.
        wait_costly: that it waits for a costly one, such as a tanh.
        entry: for each entry of plain arithmetic, one step after the other.
        entry_beside: for each entry of plain arithmetic of chunks side by side.
        vectorized: for each entry of a costly operation that XLA has vector code for.
        called: for each entry of a costly operation for which it calls a library.
        term: for each term of a small product, one step after the other.
        join: for each entry that is put together with others, side by side.
        move: for each byte that is moved between sequence and chunks, where the last cache holds both.
        move_far: for each such byte where it does not.
        copy: for each byte that is copied, within the last cache.
        copy_far: for each byte that is copied to memory that the system has to give first.
        turn_large: of a loop turn in which a large step computes nothing.
        loop: for each product of a large step, whatever its size.
        stall: for each costly operation of a large step with products, beyond one that ends it.
        operation: for each operation of a large step, up to ``few`` of them.
        operation_large: for each further one, which are of large products.
        turn_near: of a loop turn of a step whose weights are near: larger than the registers, and in the nearest cache.
        operation_near: for each operation of such a step.
        few: operations of large steps before their products fill the vector units.
        row: of a loop turn in which chunks side by side take one step each.
        gain: how many times as fast large steps are side by side as one after the other.
        gain_near: how many times as fast those are whose weights are near.
        heavy: operations for each entry of the state from which a step takes far longer than moving its state.
        pushforward: a Jacobian-vector product, in steps of the same chunks side by side.
        portion: steps whose predictions are made at once, so that what lies between their operations stays near.
        stored: entries of a state up to which stored Jacobians beat products one step after the other.
        apart: vectors up to which each is pushed through a step on its own: together, XLA reorders their axes.
        known_bytes: of an array up to which a compiler gains by knowing its values.
        products: most chunks of a linear recurrence whose products are trees: enough to fill the vector units.
        links: linear recurrences.
        launch: of a kernel that a program starts on an accelerator; 0 on a CPU, as the next ones are.
        read: until its host has read a flag of it, and goes on.
        row_in_kernel: of a row inside of a kernel of many rows, besides its products.
        bandwidth: bytes that it reads or writes in a second.
        rate: operations of products in a second.
        processors: that divide these operations.
        sources: where numbers are from that are not built in, as pairs of a name and a source.
    """

    cores: int = 1
    near_bytes: int
    near_ways: int = 8
    far_bytes: int
    vector_bytes: int
    call: float
    turn: float
    wait: float
    wait_costly: float
    entry: float
    entry_beside: float
    vectorized: float
    called: float
    term: float
    join: float
    move: float
    move_far: float
    copy: float
    copy_far: float
    turn_large: float
    loop: float
    stall: float
    operation: float
    operation_large: float
    turn_near: float
    operation_near: float
    few: int
    row: float
    gain: float
    gain_near: float
    heavy: float
    pushforward: float
    portion: int
    stored: int
    apart: int
    known_bytes: int
    products: int
    links: Links
    launch: float = 0.0
    read: float = 0.0
    row_in_kernel: float = 0.0
    bandwidth: float = 0.0
    rate: float = 0.0
    processors: int = 0
    sources: tuple[tuple[str, Source], ...] = ()

    def __post_init__(self) -> None:
        for name in NUMBERS:
            _require(name, getattr(self, name), LEAST.get(name, 0))
        for backend, link in self.links._asdict().items():
            for name, value in link._asdict().items():
                _require(f"links.{backend}.{name}", value)

    @property
    def origin(self) -> Source:
        """The best source of any of its numbers."""
        found = {source for _, source in self.sources}
        return "calibrated" if "calibrated" in found else "detected" if "detected" in found else "built-in"

    def full(self, batch: int, operations: float) -> bool:
        """Whether a step of a batch keeps an accelerator busy for as long as its kernels take to start.

        Args:
            batch: sequences at once.
            operations: of a step of one.
        """
        return self.rate > 0 and batch * operations >= self.turn * self.rate

    def source(self, name: str) -> Source:
        """Where a number is from.

        Args:
            name: of an attribute.
        """
        return dict(self.sources).get(name, "built-in")

    def known(self, source: Source, numbers: Mapping[str, Any]) -> "Machine":
        """The record with better numbers.

        Args:
            source: where they are from.
            numbers: values by the name of the attribute.
        """
        sources = dict(self.sources) | dict.fromkeys(numbers, source)
        return dataclasses.replace(self, **numbers, sources=tuple(sorted(sources.items())))

    def to_json(self) -> str:
        """JSON that ``from_json`` reads."""
        links = {name: link._asdict() for name, link in self.links._asdict().items()}
        return json.dumps({"form": FORM, **vars(self), "links": links, "sources": dict(self.sources)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Machine":
        """A record from JSON.

        Args:
            text: what ``to_json`` returned.

        Raises:
            ValueError: it is no JSON of a record, or of one of another form.
        """
        found = json_object("text", text, "what to_json of a machine's record returned")
        form = found.pop("form", None)
        if form != FORM:
            raise ValueError(f"text: given a machine's record of form {form!r}, expected form {FORM}: calibrate again.")
        try:
            links = Links(**{name: Link(**each) for name, each in found.pop("links").items()})
            return cls(**found | {"links": links, "sources": tuple(sorted(found["sources"].items()))})
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(
                f"text: given a record whose fields are not a machine's ({error}), expected what to_json returned."
            ) from error


LEAST: Mapping[str, float] = MappingProxyType(
    {"cores": 1, "near_bytes": 1, "near_ways": 1, "far_bytes": 1, "vector_bytes": 1, "few": 1}
    | {"portion": 1, "stored": 0, "apart": 0, "known_bytes": 0, "products": 1}
    | {"gain": 0.1, "gain_near": 0.1}
)
"""Least values of the numbers that are not seconds."""

NUMBERS = tuple(field.name for field in dataclasses.fields(Machine) if field.name not in ("links", "sources"))
"""Names of all attributes that are single numbers."""


def _require(name: str, value: Any, least: float = 0) -> None:
    """Refuse what is no number of a machine."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value < math.inf:
        raise ValueError(f"{name}: given {value!r}, expected a finite number, {least} or more.")
