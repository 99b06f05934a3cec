"""README and the tour say which way their examples take, in comments; each is the way that the call takes."""

import re
import sys

import pytest
from blocks_of_pages import Example, blocks
from repository import ROOT, name

import parascan as ps

README, TOUR = ROOT / "README.md", ROOT / "docs" / "tour.md"
CLAIMS = {"runs in chunks": "chunks", "takes the plain loop": "one step after the other", "iterates": "iterations"}


def claims(path):
    """The ways that comments on lines of a document claim, by line."""
    lines = enumerate(path.read_text().splitlines(), 1)
    pattern = re.compile(rf"ps\.(?:scan|rollout)\(.*# .*?\b({'|'.join(CLAIMS)})\b")
    return {number: CLAIMS[found[1]] for number, line in lines if (found := pattern.search(line))}


def taken(examples, path, monkeypatch):
    """The way that every call of ``scan`` and ``rollout`` in examples takes, by line, and what stayed of it."""
    ways, rollout = {}, ps.rollout

    def watched(entry):
        original = getattr(ps, entry)

        def call(*args, **options):
            frame = sys._getframe(1)
            if frame.f_code.co_filename == str(path):
                known = {key: value for key, value in options.items() if key not in ("throw", "history", "certify")}
                found = ps.explain(*args, **known)
                ways[frame.f_lineno] = found.way
                if found.way == "chunks":
                    stats = rollout(*args, **options).stats
                    assert not bool(stats.fell_back)
                    assert int(stats.chunks) == found.chunks
            return original(*args, **options)

        monkeypatch.setattr(ps, entry, call)

    watched("scan")
    watched("rollout")
    namespace = {"__name__": "__main__"}
    for example in examples:
        example.run(namespace)
    return ways


def test_what_a_user_copies_first_shows_what_the_library_is_for():
    stated, first = claims(README), blocks(README.read_text(), README)[0]
    assert any(first.line <= line <= first.line + first.code.count("\n") for line in stated)
    assert next(iter(stated.values())) == "chunks"


@pytest.mark.parametrize("page", [README, TOUR], ids=name)
def test_a_way_that_a_page_states_is_the_way_taken(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    stated, examples = claims(page), blocks(page.read_text(), page)
    ways = taken([example for example in examples if has_claim(example, stated)], page, monkeypatch)
    assert {line: ways.get(line) for line in stated} == stated != {}


def has_claim(example, stated):
    return any(example.line <= line <= example.line + example.code.count("\n") for line in stated)


@pytest.mark.parametrize(
    ("call", "claim"),
    [("ps.scan(f, jnp.zeros(2), jnp.ones((9, 2)))", "runs in chunks"), ("ps.scan(f, jnp.zeros(2), x)", "iterates")],
)
def test_a_false_claim_is_seen(call, claim, monkeypatch, tmp_path):
    path = tmp_path / "text.md"
    given = "import jax.numpy as jnp, parascan as ps\nx, f = jnp.ones((5, 2)), lambda s, x: (s + x, s)"
    code = f"{given}\n{call}  # {claim}\n"
    path.write_text(code)
    assert taken([Example(code, path, 1)], path, monkeypatch) != claims(path) != {}
