"""Every mutant's text stands once in the package, and its tests are there."""

from mutants import MUTANTS


def test_mutants_can_be_applied():
    complaints = []
    for mutant in MUTANTS:
        try:
            mutant.place(), mutant.covering()
        except LookupError as error:
            complaints.append(str(error))
    assert complaints == []
    assert len({mutant.breaks for mutant in MUTANTS}) == len(MUTANTS) >= 20
