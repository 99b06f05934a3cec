"""The systems of all families with the half that each belongs to, and what is known of them: for experiments."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from .families import FAMILIES
from .family import HELD_OUT_VARIANTS, VARIANTS, Family, Step

Half = Literal["fit", "held-out"]

KINDS = tuple(dict.fromkeys(family.kind for family in FAMILIES))

ROWS = (
    "toggle 0",
    "sir 0",
    "hodgkin_huxley 0",
    "standard_map 0",
    "jordan_20 0",
    "jordan_40 0",
    "lennard_jones 0",
    "bistable 0",
)
"""Systems on which an earlier diagnosis was sure and wrong."""


class System(NamedTuple):
    """One system.

    Attributes:
        name: the family's name and the place in it.
        kind: of system.
        half: whether forecasts may be fitted to it.
        step: ``(state, x) -> state``.
        init: initial state.
        xs: inputs of T steps, or None.
        length: T.
        truth: what ``truth.py`` and ``counts.py`` stored, empty where nothing is.
    """

    name: str
    kind: str
    half: Half
    step: Step
    init: Any
    xs: Any
    length: int
    truth: Mapping[str, Any]


def half_of(family: Family, place: int) -> Half:
    """The last family of a kind is held out as a whole, of every other one three members.

    Args:
        family: of the system.
        place: in the family.
    """
    last = [each for each in FAMILIES if each.kind == family.kind][-1]
    return "held-out" if family is last or place in HELD_OUT_VARIANTS else "fit"


def names(kinds: str = "", half: str = "all") -> list[tuple[Family, int]]:
    """The members of some kinds and one half or both.

    Args:
        kinds: separated by commas; all when empty.
        half: fit, held-out or all.
    """
    wanted = [each.strip() for each in kinds.split(",") if each.strip()]
    unknown = sorted(set(wanted) - set(KINDS))
    if unknown:
        raise ValueError(f"kinds: given {', '.join(unknown)}, expected some of {', '.join(KINDS)}.")
    if half not in ("fit", "held-out", "all"):
        raise ValueError(f"half: given {half!r}, expected 'fit', 'held-out' or 'all'.")
    return [
        (family, place)
        for family in FAMILIES
        for place in range(VARIANTS)
        if (not wanted or family.kind in wanted) and half in ("all", half_of(family, place))
    ]


def system(family: Family, place: int, truth: Mapping[str, Any]) -> System:
    """One member, made.

    Args:
        family: of the system.
        place: in the family.
        truth: what is stored of it.
    """
    made = family.member(place)
    step, inputs = Step(family.law, made.numbers), family.drive(place, family.length)
    name = f"{family.name} {place}"
    return System(name, family.kind, half_of(family, place), step, made.start, inputs, family.length, truth)


def systems(kinds: str = "", half: str = "all", only: str = "") -> Iterator[System]:
    """Systems one after the other, under ``jax.enable_x64(True)``.

    Args:
        kinds: separated by commas; all when empty.
        half: fit, held-out or all.
        only: names, or names of families, separated by commas; all when empty.
    """
    from .stores import TRUTH, load

    known, wanted = load(TRUTH), [each.strip() for each in only.split(",") if each.strip()]
    for family, place in names(kinds, half):
        name = f"{family.name} {place}"
        if not wanted or name in wanted or family.name in wanted:
            yield system(family, place, known.get(name, {}))
