"""Kernels, bytes and operations of a compiled program, read from its text.

Loops whose number of turns the compiler knows are counted by it. Others are told by name: the library's loops have
names (``jax.named_scope``) that the compiler keeps.
"""

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{")
INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (\(.*?\)|[\w\[\],{}:()*]+?) ([a-z][\w\-]*)\((.*)$")
SHAPE = re.compile(r"([a-z]+\d*)\[([\d,]*)\]")
BYTES = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "f16": 2, "bf16": 2, "s64": 8, "u64": 8, "f64": 8, "c64": 8}
"""Bytes of an entry; four where a dtype is not named."""

FREE = frozenset(
    {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "replica-id"}
    | {"copy-done", "opt-barrier", "async-done", "custom-call-done"}
)
"""Instructions for which nothing is launched."""

PARTS = frozenset({"dynamic-slice", "gather", "slice"})
"""Instructions that read a part of their operand, as large as their result."""


class Counts(NamedTuple):
    """What a program does, one kernel after the other.

    Attributes:
        launches: kernels and copies that are started.
        reads: times that the host waits for a flag of the device: turns of loops whose end the compiler does not know,
            and branches.
        bytes: that kernels read and write.
        operations: of products of matrices.
    """

    launches: float = 0
    reads: float = 0
    bytes: float = 0
    operations: float = 0

    def plus(self, other: "Counts", times: float = 1) -> "Counts":
        """These counts and so many times others."""
        return Counts(*(a + times * b for a, b in zip(self, other, strict=True)))


class Instruction(NamedTuple):
    """One line of a program."""

    name: str
    shape: str
    kind: str
    operands: tuple[str, ...]
    rest: str
    root: bool

    def called(self, role: str) -> str | None:
        """The name of the computation that it calls in a role."""
        found = re.search(rf"{role}=%?([\w.\-]+)", self.rest)
        return found and found.group(1)


class Program:
    """A compiled program.

    Args:
        text: of the optimized program, from ``compiled.as_text()``.
        turns: how often loops turn whose end is not known, by the end of their name: ``"warm_up/while"``. A loop in a
            loop is counted for each turn of the outer one.
        avoided: loops of so many turns stand for the way that is not taken where there is a branch.

    Raises:
        ValueError: at ``total``, for a loop whose turns nobody tells.
    """

    def __init__(self, text: str, turns: Mapping[str, float], avoided: int | None = None) -> None:
        self._turns, self._avoided = turns, avoided
        self._computations: dict[str, list[Instruction]] = {}
        self._entry = ""
        current: list[Instruction] = []
        for line in text.splitlines():
            if header := HEADER.match(line):
                current = self._computations.setdefault(header.group(2), [])
                self._entry = header.group(2) if header.group(1) else self._entry
            elif found := INSTRUCTION.match(line):
                root, name, shape, kind, rest = found.groups()
                operands = tuple(re.findall(r"%([\w.\-]+)", rest.split(")", 1)[0]))
                current.append(Instruction(name, shape, kind, operands, rest, bool(root)))

    @property
    def total(self) -> Counts:
        """Counts of the whole program."""
        return self._of(self._entry)

    def loops(self) -> list[tuple[str, float | None, Counts]]:
        """Every loop: where it is written, its turns where known, and the counts of one turn."""
        found = []
        for lines in self._computations.values():
            for each in lines:
                if each.kind == "while":
                    found.append((_written_at(each), _known_turns(each), self._of(each.called("body") or "")))
        return found

    def _of(self, name: str) -> Counts:
        """Counts of a computation that runs once."""
        lines = self._computations[name]
        shapes = {each.name: each.shape for each in lines}
        total = Counts()
        for each in lines:
            if each.kind == "while":
                total = total.plus(self._loop(each))
            elif each.kind == "conditional":
                total = total.plus(self._branch(each)).plus(Counts(reads=1))
            elif each.kind == "call":
                total = total.plus(self._of(each.called("to_apply") or ""))
            elif each.kind not in FREE:
                total = total.plus(self._kernel(each, shapes))
        return total

    def _loop(self, loop: Instruction) -> Counts:
        """Counts of a loop, with those of its condition where the host has to look at it."""
        body, known = self._of(loop.called("body") or ""), _known_turns(loop)
        if known is not None:
            return Counts().plus(body, known)
        where = _written_at(loop)
        turns = next((count for end, count in self._turns.items() if where.endswith(end)), None)
        if turns is None:
            raise ValueError(f"turns: nothing is known of the loop {where!r}, expected one of {list(self._turns)}.")
        looked = self._of(loop.called("condition") or "").plus(Counts(reads=1))
        return Counts().plus(body, turns).plus(looked, turns + 1)

    def _branch(self, branch: Instruction) -> Counts:
        """Counts of the way that is taken: that with most kernels and without the loop that is to be avoided."""
        named = re.search(r"branch_computations=\{([^}]*)\}", branch.rest)
        ways = re.findall(r"%?([\w.\-]+)", named.group(1)) if named else []
        ways = ways or [branch.called(f"{flag}_computation") or "" for flag in ("true", "false")]
        taken = [way for way in ways if not self._avoids(way)] or ways
        return max((self._of(way) for way in taken), key=lambda counts: counts.launches)

    def _avoids(self, name: str) -> bool:
        """Whether a way begins the loop over all steps that stands for giving up."""
        loops = [each for each in self._computations[name] if each.kind == "while"]
        return self._avoided is not None and any(_known_turns(each) == self._avoided for each in loops)

    def _kernel(self, each: Instruction, shapes: Mapping[str, str]) -> Counts:
        """Counts of one kernel."""
        inner = self._computations.get(each.called("calls") or "", [])
        if not inner:
            moved = _size(each.shape) + sum(_size(shapes.get(name, "")) for name in each.operands)
            return Counts(1, 0, moved, _products([each], shapes))
        inside = {line.name: line for line in inner}
        renamed = {line.name: line.operands[0] for line in inner if line.kind == "bitcast"}
        inner = [line._replace(operands=tuple(renamed.get(name, name) for name in line.operands)) for line in inner]
        written = {line.operands[0]: line.operands[1] for line in inner if line.kind == "dynamic-update-slice"}
        moved = 0.0
        for line in inner:
            if line.kind == "parameter":
                readers = [other for other in inner if line.name in other.operands and other.kind != "bitcast"]
                if readers and all(other.kind in PARTS and other.operands[0] == line.name for other in readers):
                    moved += sum(_size(other.shape) for other in readers)
                elif line.name not in written:
                    moved += _size(line.shape)
        updates = [inside[name] for name in written.values() if name in inside]
        moved += sum(_size(line.shape) for line in updates) if written else _size(each.shape)
        return Counts(1, 0, moved, _products(inner, {name: line.shape for name, line in inside.items()}))


def _written_at(each: Instruction) -> str:
    """Where the program says that an instruction is from."""
    found = re.search(r'op_name="([^"]*)"', each.rest)
    return found.group(1) if found else ""


def _known_turns(loop: Instruction) -> int | None:
    """Turns of a loop, where the compiler knows them."""
    found = re.search(r'known_trip_count"?:\s*\{"n":"(\d+)"', loop.rest)
    return int(found.group(1)) if found else None


def _dimensions(shape: str) -> list[list[int]]:
    """Dimensions of each array of a shape."""
    return [[int(size) for size in sizes.split(",") if size] for _, sizes in SHAPE.findall(shape)]


def _size(shape: str) -> int:
    """Bytes of a shape."""
    dtypes = (BYTES.get(dtype, 4) for dtype, _ in SHAPE.findall(shape))
    return sum(width * math.prod(sizes) for width, sizes in zip(dtypes, _dimensions(shape), strict=True))


def _products(lines: list[Instruction], shapes: Mapping[str, str]) -> int:
    """Operations of the products of matrices among some instructions."""
    total = 0
    for each in lines:
        contracted = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", each.rest)
        if each.kind == "dot" and contracted and each.operands[0] in shapes:
            left = _dimensions(shapes[each.operands[0]])[0]
            terms = math.prod(left[int(axis)] for axis in contracted.group(1).split(",") if axis)
            total += 2 * terms * math.prod(_dimensions(each.shape)[0])
    return total
