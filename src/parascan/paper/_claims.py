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
    """

    statement: str
    checked: int
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether something was checked and nothing failed."""
        return self.checked > 0 and not self.failures


def check(statement: str, rows: Iterable[T], fault: Callable[[T], str | None]) -> Claim:
    """A claim over rows.

    Args:
        statement: the claim, with its tolerance.
        rows: what it is about.
        fault: what contradicts the claim in a row, None if nothing does.
    """
    faults = [fault(row) for row in rows]
    return Claim(statement, len(faults), tuple(each for each in faults if each is not None))
