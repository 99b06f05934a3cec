"""A public signature changes only with a word in the changelog."""

import re

import pytest
from repository import ROOT
from signatures import changes, public_signatures, stored

CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
UNRELEASED = CHANGELOG.split("\n## [Unreleased]", 1)[1].split("\n## [", 1)[0]


def untold(changed, text):
    """Changes of names that a text does not have as a word in code, whole or without what is before its last dot."""
    words = set(re.findall(r"[\w.]+", " ".join(re.findall(r"`([^`]+)`", text))))
    words |= {word.removeprefix("ps.") for word in words}
    return [text for name, text in changed.items() if not {name, name.rpartition(".")[2]} & words]


def test_signatures_change_only_when_the_changelog_says_so():
    """What is stored is the last release's: `make signatures` is a step of a release."""
    assert untold(changes(stored(), public_signatures()), UNRELEASED) == []


@pytest.mark.parametrize(
    ("text", "count"), [("", 2), ("`ps.scan(unroll=)` is gone.", 1), ("Speaks of `scan` and `nn.GRUCell`.", 0)]
)
def test_a_planted_change_is_seen(text, count):
    before = {"scan": "(f, init, xs, unroll=1)", "nn.GRUCell": "(size)", "plan": "(f)"}
    after = {"scan": "(f, init, xs)", "plan": "(f)", "novel": "()"}
    assert len(untold(changes(before, after), text)) == count


def test_signatures_show_what_a_caller_relies_on():
    found = public_signatures()
    assert found["scan"].startswith("(f, init, xs=None, length=None, reverse=False, unroll=1, *, solver=None")
    assert "activation=tanh" in found["nn.ElmanCell"]
    assert "MultipleShooting.fitting" in found
    assert "Newton.run" not in found
    assert "nn.Recurrent.using" in found
    assert not any(" object at " in text or "<" in text for text in found.values())
