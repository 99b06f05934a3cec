"""Combinations that run by default, and those that only `make test-all` runs."""

import itertools
from collections.abc import Iterable, Sequence

import pytest


def pairs(case: tuple) -> set[tuple]:
    """Every two values of a combination, with their places; values are told apart by what they print as."""
    return set(itertools.combinations(enumerate(map(str, case)), 2))


def exhaustive(cases: Iterable[tuple]) -> list:
    """Combinations that `make test-all` alone runs, as parameters of a test."""
    return [pytest.param(*case, marks=pytest.mark.exhaustive) for case in cases]


def pairwise(cases: Sequence[tuple]) -> list:
    """All combinations, as parameters of a test; by default run so many that every two values meet that meet anywhere.

    The next one is always that with most pairs which those before have not, so few are enough. Others are marked
    ``exhaustive``.
    """
    missing = set().union(*map(pairs, cases))
    waiting, chosen = {index: pairs(case) for index, case in enumerate(cases)}, set()
    while missing:
        best = max(waiting, key=lambda index: len(waiting[index] & missing))
        chosen.add(best)
        missing -= waiting.pop(best)
    return [
        pytest.param(*case, marks=() if index in chosen else pytest.mark.exhaustive) for index, case in enumerate(cases)
    ]


def one_of_each(cases: Sequence[tuple]) -> list:
    """All combinations, as parameters of a test; by default run so many that every value is in one.

    Fewer than ``pairwise`` chooses, for values that act on one another nowhere. Of as many new values, those are
    preferred that were chosen least. Others are marked ``exhaustive``.
    """
    values = [list(enumerate(map(str, case))) for case in cases]
    missing, chosen = set(itertools.chain.from_iterable(values)), []

    def merit(index: int) -> tuple[int, int]:
        return len(missing & set(values[index])), -sum(
            each in values[taken] for taken in chosen for each in values[index]
        )

    while missing:
        best = max(range(len(cases)), key=merit)
        chosen.append(best)
        missing -= set(values[best])
    return [
        pytest.param(*case, marks=() if index in chosen else pytest.mark.exhaustive) for index, case in enumerate(cases)
    ]


def crossed(rows: Sequence, columns: Sequence, whole_rows: Sequence, whole_columns: Sequence) -> list:
    """Every pair of a row and a column, as parameters; by default those run that lie in a row or column to run whole.

    For two values, of which every two meet in the full product alone. Others are marked ``exhaustive``.
    """
    return [
        pytest.param(row, column, marks=() if row in whole_rows or column in whole_columns else pytest.mark.exhaustive)
        for row, column in itertools.product(rows, columns)
    ]


def some(values: Iterable, *default: object) -> list:
    """All values, as parameters of a test; those that do not run by default are marked ``exhaustive``."""
    values = list(values)
    assert all(value in values for value in default)
    return [pytest.param(value, marks=() if value in default else pytest.mark.exhaustive) for value in values]


single = pytest.mark.parametrize("dtype", some(["float32", "float64"], "float32"), indirect=True)
"""For tests of both precisions of which one is enough by default."""


def fewer(cases: Iterable, *left_out: str) -> list:
    """Parameters of a test; those left out, told by their values with ``-`` between, are marked ``exhaustive`` too."""
    found, left = [], set()
    for case in cases:
        values, marks = getattr(case, "values", case), getattr(case, "marks", ())
        values = values if isinstance(values, tuple) else (values,)
        label = "-".join(str(getattr(value, "__name__", value)) for value in values)
        if label in left_out and not marks:
            left.add(label)
            marks = pytest.mark.exhaustive
        found.append(pytest.param(*values, marks=marks))
    assert left == set(left_out)
    return found


def product(*values: Sequence) -> list[tuple]:
    """Every combination of one value of each."""
    return list(itertools.product(*values))
