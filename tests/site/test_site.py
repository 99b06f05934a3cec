"""The site, as built: a page for each public name with its signature, and what a browser makes of it."""

import html
import inspect
import re
from pathlib import Path

import pytest

import parascan as ps
from browser import PROGRAM, WIDTH, page, served

SITE = Path(__file__).resolve().parents[2] / "build" / "site" / "html"
NAMES = [each for each in sorted(vars(ps)) if not each.startswith("_") and callable(getattr(ps, each))]
BUILT = pytest.mark.skipif(not (SITE / "index.html").exists(), reason="the site is not built: make docs")
BROWSER = pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed: Debian's package is chromium")
SHOWN = [
    "index.html",
    "tutorials/01_is_my_scan_a_candidate.html",
    "reference/diagnose.html",
    "benchmarks.html",
    "theory.html",
]
# Those that callers are not meant to give, or that are described on the page of another name.
WITHOUT_SIGNATURE = {"Result", "Solution", "RolloutError"}
TAG = re.compile(r"<[^>]+>")

pytestmark = BUILT


def signature_of(text):
    """Names of the parameters in the first signature on a page of the reference."""
    found = re.search(r'<div class="[^"]*doc-signature[^"]*">(.*?)</div>', text, re.S)
    plain = html.unescape(TAG.sub("", found[1])) if found else ""
    inside = plain[plain.find("(") + 1 : plain.rfind(")")]
    depth, parts, part = 0, [], ""
    for letter in inside:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts, part = [*parts, part], ""
        else:
            part += letter
    names = [re.match(r"\s*\**(\w*)", each)[1] for each in [*parts, part]]
    return [each for each in names if each and each != "self"]


@pytest.mark.parametrize("name", NAMES)
def test_each_public_name_has_a_page_with_its_signature(name):
    text = (SITE / "reference" / f"{name}.html").read_text()
    assert f"ps.{name}" in text
    if name not in WITHOUT_SIGNATURE:
        assert signature_of(text) == list(inspect.signature(getattr(ps, name)).parameters)


def test_examples_are_code():
    text = (SITE / "reference" / "Newton.html").read_text()
    assert re.search(r"Examples:.*?<pre", text, re.S)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    with served(SITE) as address, page(tmp_path_factory.mktemp("profile")) as found:
        yield found, address


SMALL_TEXT = """[...document.querySelectorAll('article p')]
    .filter(each => each.innerText && parseFloat(getComputedStyle(each).fontSize) < 12).length"""
BROKEN_PICTURES = """Promise.all([...document.images].map(each => { each.loading = 'eager'; return each.decode()
    .then(() => '', () => each.src); })).then(found => found.filter(each => each))"""


@BROWSER
@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("path", SHOWN)
def test_a_page_is_readable_without_errors(opened, path, width):
    found, address = opened
    found.open(f"{address}/{path}", width)
    assert found.run(BROKEN_PICTURES) == []
    assert found.run(WIDTH) <= width, "something is wider than the window"
    assert found.run("document.querySelectorAll('article p').length") > 2
    assert found.run(SMALL_TEXT) == 0
    assert found.problems == []


@pytest.mark.slow
@BROWSER
def test_no_page_is_wider_than_a_telephone(opened):
    found, address = opened
    wide = {}
    for file in sorted(SITE.rglob("*.html")):
        path = file.relative_to(SITE).as_posix()
        found.open(f"{address}/{path}", 400)
        if found.run(WIDTH) > 400 or found.problems:
            wide[path] = found.problems or "too wide"
    assert wide == {}


@BROWSER
def test_dark_mode_is_dark(opened):
    found, address = opened
    found.open(f"{address}/index.html", 1400)
    brightness = "getComputedStyle(document.body).backgroundColor"
    light = found.run(brightness)
    found.run("document.querySelector('label[title=\"Switch to dark mode\"]').click()")
    assert found.run("document.body.getAttribute('data-md-color-scheme')") == "slate"
    assert found.run(brightness) != light


@BROWSER
def test_search_finds_the_entry_point(opened):
    found, address = opened
    found.open(f"{address}/index.html", 1400)
    found.run("document.querySelector('.md-search__button').click()")
    found.run("new Promise(resolve => setTimeout(resolve, 1000))")
    found.call("Input.insertText", text="scan")
    # The field and its results are in a tree of their own below the page's.
    hits = found.run("""new Promise(resolve => {
        const started = Date.now();
        const look = () => {
            const roots = [...document.querySelectorAll('*')].map(each => each.shadowRoot).filter(each => each);
            const links = roots.flatMap(root => [...root.querySelectorAll('a')].map(each => each.href));
            if (links.length || Date.now() - started > 20000) resolve(links);
            else setTimeout(look, 200);
        };
        look();
    })""")
    assert any("/reference/scan.html" in each for each in hits[:5])
