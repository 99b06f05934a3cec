"""Links between pages lead to files and headings that are there, and every page can be found."""

import re

import pytest
from repository import ROOT, files, name

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *files("docs", suffix=".md")]
INDEX = ROOT / "docs" / "tour.md"
FENCED = re.compile(r"^(`{3,}).*?^\1$", re.S | re.M)
HEADING = re.compile(r"^#+ (.+)$", re.M)
TARGET = re.compile(r"\]\(([^)\s]+)\)")
OWN = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+/(?:blob|tree|raw)/main/(.+)")


def prose(path):
    """A page without its code."""
    return FENCED.sub("", path.read_text())


def anchors(path):
    """Names by which GitHub links to the headings of a page."""
    headings = HEADING.findall(prose(path))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(path, text):
    """Links of a page to files or headings of the repository that are not there."""
    found = []
    for target in TARGET.findall(text):
        own = OWN.fullmatch(target)
        if target.startswith("https://") and not own:
            continue
        file, _, anchor = (own[1] if own else target).partition("#")
        aim = (ROOT if own else path.parent) / file if file else path
        if not aim.exists() or (anchor and anchor not in anchors(aim)):
            found.append(target)
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_headings_that_there_are(page):
    assert dead_links(page, prose(page)) == []


def test_every_page_is_linked_from_the_list_of_pages():
    linked = set(TARGET.findall(prose(INDEX)))
    pages = {path.relative_to(INDEX.parent).as_posix() for path in files("docs", suffix=".md")}
    assert pages - linked - {INDEX.name} == set()


def test_planted_dead_links_are_seen():
    text = "[a](faq.md) [b](faq.md#nothing) [c](no.md) [d](#pages) [e](https://github.com/a/b/blob/main/no.md)"
    assert dead_links(INDEX, text) == ["faq.md#nothing", "no.md", "https://github.com/a/b/blob/main/no.md"]
