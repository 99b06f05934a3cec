"""Each tutorial ends with a picture that it drew, which is stored and no older than the page's code."""

import itertools

import pytest
from repository import name
from tutorial_pictures import PICTURES, SHOWN, TUTORIALS, digest, digest_in, drawn_by

WORDS = 1700
"""In ten minutes, at 170 words of technical text a minute; code counts as text."""
BYTES = 80_000


def complaints(path, text):
    """What is missing of the picture of a page."""
    drawn, shown = drawn_by(text), SHOWN.findall(text)
    if drawn is None:
        return ["the last block saves no picture"]
    if shown != [drawn]:
        return [f"the page shows {shown}, its last block saves {drawn}"]
    stored = PICTURES / drawn
    if not stored.exists():
        return [f"{drawn} is not stored: make tutorials"]
    found = [f"{drawn} has more than {BYTES} bytes"] if stored.stat().st_size > BYTES else []
    return found + ([] if digest_in(stored) == digest(path) else [f"{drawn} is older than its code: make tutorials"])


def test_there_are_nine_and_each_leads_to_the_next():
    assert [path.name[:2] for path in TUTORIALS] == [f"0{number}" for number in range(1, 10)]
    for path, following in itertools.pairwise(TUTORIALS):
        assert f"({following.name})" in path.read_text().rstrip().split("\n\n")[-1]


@pytest.mark.parametrize("path", TUTORIALS, ids=name)
def test_its_picture_is_stored_and_as_new_as_its_code(path):
    assert complaints(path, path.read_text()) == []


@pytest.mark.parametrize("path", TUTORIALS, ids=name)
def test_it_is_read_in_ten_minutes(path):
    assert len(path.read_text().split()) <= WORDS


def test_planted_faults_are_seen():
    page, text = TUTORIALS[0], TUTORIALS[0].read_text()
    assert complaints(page, text.replace("figure.savefig", "print")) != []
    assert complaints(page, text.replace("](../pictures/tutorial_1.png)", "](../pictures/tutorial_2.png)")) != []
    assert "not stored" in complaints(page, text.replace("tutorial_1.png", "tutorial_99.png"))[0]
    assert "older" in complaints(TUTORIALS[1], text)[0]
