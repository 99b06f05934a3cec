"""Combinations that run by default, and those that only `make test-all` runs."""

import itertools
from collections.abc import Sequence

import pytest


def pairs(case: tuple) -> set[tuple]:
    """Every two values of a combination, with their places; values are told apart by what they print as."""
    return set(itertools.combinations(enumerate(map(str, case)), 2))


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


def product(*values: Sequence) -> list[tuple]:
    """Every combination of one value of each."""
    return list(itertools.product(*values))
