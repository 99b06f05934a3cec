"""Claims of the paper as checks over rows, each of which says what it checked and what failed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Claim:
    """A statement, how many rows it was checked on, and which of them contradict it.

    Attributes:
        statement: the claim, with its tolerance.
        checked: number of rows that it was checked on.
        failures: one line for each row that contradicts it.
        remarks: one line for each row that is outside the tolerance for a reason that the claim allows.
    """

    statement: str
    checked: int
    failures: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether something was checked and nothing failed."""
        return self.checked > 0 and not self.failures


def check(
    statement: str,
    rows: Iterable[T],
    fault: Callable[[T], str | None],
    excuse: Callable[[T], str | None] = lambda row: None,
) -> Claim:
    """A claim over rows.

    Args:
        statement: the claim, with its tolerance.
        rows: what it is about.
        fault: what contradicts the claim in a row, None if nothing does.
        excuse: why a row with a fault does not contradict the claim after all, None if it does.
    """
    rows = list(rows)
    faults = [(each, excuse(row)) for row in rows if (each := fault(row)) is not None]
    failures = tuple(each for each, reason in faults if reason is None)
    remarks = tuple(f"{each}: {reason}" for each, reason in faults if reason is not None)
    return Claim(statement, len(rows), failures, remarks)
