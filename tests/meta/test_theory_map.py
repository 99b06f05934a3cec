"""The map of the theory is whole: what docstrings name has a test, what the paper numbers is there, tests exist."""

import pytest
from theory_map import FACTS, PAGE, facts, missing_tests, named_in, page, sources, untested

NUMBERED = {
    "definition 1",
    "proposition 1",
    "lemma 1",
    "algorithm 1",
    "table 1",
    *(f"theorem {number}" for number in range(2, 7)),
    *(f"remark {number}" for number in range(1, 6)),
    *(f"equation {number}" for number in range(1, 38)),
    *(f"figure {number}" for number in range(1, 9)),
}
"""What the paper numbers; its first theorem is proposition 1."""


def test_every_statement_of_the_paper_is_there_once():
    names = [name for fact in facts() for name in fact.names]
    assert NUMBERED - set(names) == set()
    assert sorted(names) == sorted(set(names))


def test_what_docstrings_name_has_a_test():
    assert untested(sources(), facts()) == []
    assert len(sources()) > 20


@pytest.mark.parametrize("fact", facts(), ids=lambda fact: fact.names[0])
def test_its_tests_are_there(fact):
    assert fact.tests
    assert missing_tests(fact.tests) == []


def test_the_page_is_as_new_as_what_it_is_written_from():
    assert PAGE.read_text() == page(), f"make theory, after a change of {FACTS.name} or of a Source line"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("theorem 2 and equation 11 of the paper.", {"theorem 2", "equation 11"}),
        ("equations 21 and 24 and remark 2 of the paper.", {"equation 21", "equation 24", "remark 2"}),
        ("theorems 3 and 6 of the paper.", {"theorem 3", "theorem 6"}),
        ("appendix G of the paper; theorem 5 for the radius.", {"appendix G", "theorem 5"}),
        ("Lim et al. 2024, equation 6; definition 1.", {"definition 1"}),
        ("Kuczynski and Wozniakowski 1992, theorem 4.2.", set()),
        ("implicit function theorem; Lim et al. 2024, appendix.", set()),
        ("Gonzalez et al. 2025, equation 4.", {"equation 4"}),
        ("appendix J.1, equation 37 of the paper: ``log(chi)``.", {"appendix J.1", "equation 37"}),
    ],
)
def test_names_are_read_as_they_are_meant(source, names):
    assert named_in(source) == names


def test_planted_gaps_are_seen():
    assert untested({"theorem 99": ["somewhere"]}, facts()) == ["theorem 99"]
    assert missing_tests(("tests/no_such_file.py", "tests/theory/test_merit.py::test_nothing")) != []
