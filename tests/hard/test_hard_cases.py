"""Hard cases: what says successful is right, what fails says so, and the published table is what runs give."""

import pytest
import table
from hard_cases import CASES, METHODS, outcome

ERROR = {"float64": 1e-11, "float32": 8e-6}
QUICK = [
    ("non_normal", "elk"),
    ("unstable_transient", "elk"),
    ("unstable_transient", "LineSearch(deer)"),
    ("far_cubic", "elk"),
    ("far_cubic", "deer"),
    ("jumping", "Hybrid(descent, deer)"),
    ("chaotic_rnn", "quasi_deer"),
]


def judged(name, method):
    """The outcome of a run, checked where it claims success."""
    code, iterations, error = outcome(CASES[name], method)
    assert code in ("successful", *table.SHORT)
    if code == "successful" and CASES[name].predictable:
        assert error < ERROR[CASES[name].dtype]
    return code, iterations


@pytest.mark.parametrize(("name", "method"), QUICK)
def test_success_is_the_sequential_trajectory(name, method):
    judged(name, method)


@pytest.mark.slow
def test_the_published_table_is_what_runs_give():
    published = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.read()]
    assert published[0][1:] == list(METHODS)
    for row, name in zip(published[2:], CASES, strict=True):
        for given, method in zip(row[1:], METHODS, strict=True):
            code, iterations = judged(name, method)
            if given.isdigit():
                assert code == "successful", (name, method)
                assert abs(iterations - int(given)) <= 2 + 0.1 * int(given), (name, method)
            else:
                assert table.SHORT[code] == given, (name, method)
