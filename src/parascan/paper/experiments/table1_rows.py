"""What table 1 consists of: a configuration, its single measurements, a row of results."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

import parascan as ps

Kind: TypeAlias = Literal["flow", "observer"]

PUBLISHED = ps.systems.table1
"""The published setting and numbers."""


@dataclass(frozen=True)
class Config:
    """What to run.

    Attributes:
        systems: names of the flows.
        flow_length: steps T of Newton's method on the chaotic flows.
        observer_length: steps T of Newton's method on the observers.
        exponent_length: steps over which exponents are averaged.
        tolerance: bound on merit/T, in squared units of the state.
        portion: updates between two reports.
        seed: of the directions in which exponents are measured; the guess is the published one.
    """

    systems: tuple[str, ...] = tuple(PUBLISHED.ROWS)
    flow_length: int = 8_000
    observer_length: int = PUBLISHED.LENGTH
    exponent_length: int = PUBLISHED.LENGTH
    tolerance: float = PUBLISHED.TOLERANCE
    portion: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.systems if name not in PUBLISHED.ROWS]
        if unknown:
            expected = ", ".join(PUBLISHED.ROWS)
            raise ValueError(f"systems: given {', '.join(unknown)}, expected some of {expected}.")
        for name in ("flow_length", "observer_length", "exponent_length"):
            if not 1 <= getattr(self, name) <= PUBLISHED.LENGTH:
                raise ValueError(f"{name}: given {getattr(self, name)}, expected 1 to {PUBLISHED.LENGTH} steps.")
        if self.portion < 1:
            raise ValueError(f"portion: given {self.portion}, expected one update or more.")

    def cases(self) -> tuple["Case", ...]:
        """The single measurements, in the paper's order."""
        lengths: dict[Kind, int] = {"flow": self.flow_length, "observer": self.observer_length}
        rest = (self.exponent_length, self.tolerance, self.portion, self.seed)
        return tuple(Case(name, kind, length, *rest) for name in self.systems for kind, length in lengths.items())


SIZES = MappingProxyType(
    {
        "smoke": Config(systems=("lorenz", "sprott_b"), flow_length=1_000),
        "demo": Config(),
        "desk": Config(flow_length=PUBLISHED.LENGTH),
        "full": Config(flow_length=PUBLISHED.LENGTH),
    }
)
"""Configurations by name: a check that all works, one that takes a minute, and the paper's, which a desk can do."""


@dataclass(frozen=True)
class Case:
    """One measurement and everything that decides its numbers; see ``Config``."""

    system: str
    kind: Kind
    length: int
    exponent_length: int
    tolerance: float
    portion: int
    seed: int

    @property
    def label(self) -> str:
        """The paper's name of the flow, with what is made of it."""
        return PUBLISHED.ROWS[self.system].label + (" observer" if self.kind == "observer" else "")

    def build(self) -> ps.systems.System:
        """The system."""
        return ps.systems.get(self.system if self.kind == "flow" else f"{self.system}_observer")


@dataclass(frozen=True)
class Row:
    """One measurement beside what the paper prints.

    Attributes:
        system: name of the flow.
        kind: the flow itself or its observer.
        length: steps T of Newton's method.
        exponent: largest Lyapunov exponent, per unit of time.
        spread: its standard deviation over start directions, per unit of time.
        updates: updates of Newton's method up to the iterate that met the criterion.
        message: why the rollout failed and what to do, empty on success.
        merit: ``|r|^2 / (2 T)`` of that iterate, in squared units of the state.
        error: distance from the sequential trajectory over the compared steps, in units of the state: root mean
            square of the observers, largest entry of the flows.
        tolerance: bound on ``error``.
        compared: number of leading steps compared.
        horizon: step up to which rounding errors, as they grow, stay below the tolerance.
        worst: largest distance over all T steps, in units of the state.
        published_exponent: the paper's exponent, per unit of time.
        published_spread: standard deviation of that exponent over roundings, per unit of time.
        published_steps: the paper's count at T = 30000, one more than the updates.
    """

    system: str
    kind: Kind
    length: int
    exponent: float
    spread: float
    updates: int
    message: str
    merit: float
    error: float
    tolerance: float
    compared: int
    horizon: int
    worst: float
    published_exponent: float
    published_spread: float
    published_steps: int

    @property
    def label(self) -> str:
        """The paper's name of the flow."""
        return PUBLISHED.ROWS[self.system].label

    @property
    def counted(self) -> int:
        """The count as the paper counts, testing each iterate one update late."""
        return self.updates + 1
