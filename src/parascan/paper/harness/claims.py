"""Claims of the paper as checks: what is claimed, what was published, within which tolerance, ours, and the verdict."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

T = TypeVar("T")


class Verdict(StrEnum):
    """What became of a claim."""

    met = "met"
    explained = "missed, explained"
    missed = "missed"


@dataclass(frozen=True)
class Claim:
    """A published statement beside what was found, on how many rows, and which of them contradict it.

    Attributes:
        quantity: what is claimed, with its unit.
        checked: number of rows that it was checked on.
        failures: one line for each row that contradicts it.
        remarks: one line for each row that is outside the tolerance for a reason that the claim allows.
        published: the published value, as printed; empty for a statement without a number.
        tolerance: how far ours may be from it.
        ours: the value found.
        explanation: why it is missed, with the measurement that shows it; empty where nothing explains it.
    """

    quantity: str
    checked: int
    failures: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    published: str = ""
    tolerance: str = ""
    ours: str = ""
    explanation: str = ""

    @property
    def verdict(self) -> Verdict:
        """Met where something was checked and nothing failed; a failure counts as explained where a reason is given."""
        if self.checked > 0 and not self.failures:
            return Verdict.met
        return Verdict.explained if self.checked > 0 and self.explanation else Verdict.missed

    @property
    def passed(self) -> bool:
        """Whether the claim is met or its failure is explained."""
        return self.verdict is not Verdict.missed


def check(
    quantity: str,
    rows: Iterable[T],
    fault: Callable[[T], str | None],
    excuse: Callable[[T], str | None] = lambda row: None,
    *,
    published: str = "",
    tolerance: str = "",
    ours: str | None = None,
    explanation: str = "",
) -> Claim:
    """A claim over rows.

    Args:
        quantity: what is claimed, with its unit.
        rows: what it is about.
        fault: what contradicts the claim in a row, None if nothing does.
        excuse: why a row with a fault does not contradict the claim after all, None if it does.
        published: the published value, as printed.
        tolerance: how far ours may be from it.
        ours: the value found; the number of rows that agree when None.
        explanation: why it is missed, with the measurement that shows it.
    """
    rows = list(rows)
    faults = [(each, excuse(row)) for row in rows if (each := fault(row)) is not None]
    failures = tuple(each for each, reason in faults if reason is None)
    remarks = tuple(f"{each}: {reason}" for each, reason in faults if reason is not None)
    found = f"{len(rows) - len(failures)} of {len(rows)}" if ours is None else ours
    return Claim(quantity, len(rows), failures, remarks, published, tolerance, found, explanation if failures else "")


def near(
    quantity: str,
    published: float,
    ours: float,
    *,
    absolute: float = 0.0,
    relative: float = 0.0,
    unit: str = "",
    explanation: str = "",
) -> Claim:
    """A published number beside ours, which may differ by the larger of two tolerances.

    Args:
        quantity: what is claimed.
        published: the published number.
        ours: the number found; NaN misses.
        absolute: largest difference.
        relative: largest difference as a share of the published number.
        unit: of both numbers.
        explanation: why it is missed, with the measurement that shows it.
    """
    allowed = max(absolute, relative * abs(published))
    low, high = published - allowed, published + allowed
    return between(
        quantity, low, high, ours, published=f"{published:g}", tolerance=f"± {allowed:.3g}", unit=unit,
        explanation=explanation,
    )  # fmt: skip


def between(
    quantity: str,
    low: float,
    high: float,
    ours: float,
    *,
    published: str,
    tolerance: str = "",
    unit: str = "",
    explanation: str = "",
) -> Claim:
    """A published range or bound beside our number, which must lie in it.

    Args:
        quantity: what is claimed.
        low: least number that agrees.
        high: largest number that agrees.
        ours: the number found; NaN misses.
        published: the range as the paper has it.
        tolerance: how far ours may be outside of what is published; the range itself when empty.
        unit: of the numbers.
        explanation: why it is missed, with the measurement that shows it.
    """
    agrees = low <= ours <= high
    failures = () if agrees else (f"{ours:.4g} is not between {low:.4g} and {high:.4g}",)
    allowed = tolerance or f"{low:.4g} to {high:.4g}"
    found = f"{ours:.4g} {unit}".rstrip()
    return Claim(quantity, 1, failures, (), published, allowed, found, "" if agrees else explanation)


def rank_correlation(one: Float[np.ndarray, " N"], other: Float[np.ndarray, " N"]) -> float:
    """Spearman's correlation of two columns; NaN where one of them is constant or has fewer than three entries."""
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])
