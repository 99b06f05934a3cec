"""``parascan report``: the page, in a browser too, its numbers, its refusals, and what is left after Ctrl-C."""

import html.parser
import json
import re
import signal
import sys

import numpy as np
import pytest
from output import plain
from typer.testing import CliRunner

from browser import PROGRAM, WIDTH
from browser import page as opened_page
from parascan.cli import app
from parascan.pictures.report_page import report_page

report_command = sys.modules["parascan.cli.report_command"]

MODULE = """
import jax.numpy as jnp


def make(gain=0.5):
    return (lambda s, x: gain * jnp.tanh(s) + x), jnp.zeros(2), jnp.ones((300, 2))


def unlucky():
    return 1 / 0


def empty():
    return (lambda s, x: s + x), jnp.zeros(2), jnp.ones((0, 2))


def lost():
    return (lambda s, x: 0.5 * s + x), jnp.zeros(2), jnp.full((300, 2), jnp.nan)


globals()["<img src=x onerror=alert(1)>"] = make
"""
HOSTILE = "<script>alert(1)</script>&\"'"
NEEDS_BROWSER = pytest.mark.skipif(PROGRAM is None, reason="no Chromium to open the page in")


def invoke(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("a report")
    (found / "reported_module.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(found)
        patch.syspath_prepend(str(found))
        yield found


@pytest.fixture(scope="module")
def made(folder):
    """A page, the JSON of the same call, and what both were made of."""
    seen = []

    def kept(findings):
        seen.append(findings)
        return report_page(findings)

    path = folder / "deep folder" / "out.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_command, "report_page", kept)
        found = invoke("reported_module:make", "--html", path, "--no-measure", "--sweep", "gain", "0.5:1.5:3", "--json")
    assert found.exit_code == 0, found.output
    return path, json.loads(found.stdout), seen[0]


class Reader(html.parser.HTMLParser):
    """Tags that are open, texts, and attributes of a page."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts, self.attributes, self.ids = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page_is_whole_and_needs_nothing_else(made):
    text = made[0].read_text(encoding="utf-8")
    reader = Reader(text)
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    links = [value for _, name, value in reader.attributes if name in ("src", "href", "xlink:href")]
    assert all(value.startswith(("#", "data:")) for value in links)
    assert {value[1:] for value in links if value.startswith("#")} <= set(reader.ids)
    assert "@import" not in text
    targets = re.findall(r"url\(([^)]*)\)", text)
    assert targets
    assert {target.removeprefix("#") for target in targets} <= set(reader.ids)
    assert [each.name for each in made[0].parent.iterdir()] == ["out.html"]


def test_every_part_is_there_with_interval_and_method(made):
    path, record, findings = made
    words = " ".join(" ".join(Reader(path.read_text(encoding="utf-8")).texts).split())
    assert "reported_module:make, T = 300" in words
    for part in ("What a call does by default", "Pictures", "Numbers", "Plan", "Sweep of gain", "How this was made"):
        assert part in words
    diagnosis = findings.diagnosis
    for sentence in (
        *diagnosis.evidence,
        findings.explanation.reason,
        *findings.plan.reasons,
        *findings.sweep.summary(),
    ):
        assert sentence in words
    for estimate in (diagnosis.exponent, diagnosis.a, *diagnosis.iterations.values()):
        assert f"{float(estimate.value):.4g}" in words
        assert estimate.method in words
        level = "bound" if estimate.level == 1 else f"{estimate.level:.0%}"
        assert f"{float(estimate.low):.4g} to " in words or f"of no width ({level})" in words
    for each in findings.plan.candidates:
        assert each.name in words
        assert each.reason in words
    assert words.count("gain = 1 ") == 1
    assert f"{record['result']['diagnosis']['exponent']['value']:.4g}" in words


def test_json_holds_the_same(made):
    _, record, findings = made
    assert record["command"] == "report"
    result = record["result"]
    assert result["diagnosis"]["verdict"] == findings.diagnosis.verdict == "predictable"
    assert result["plan"]["candidates"][0]["name"] == findings.plan.chosen.name
    assert result["sweep"]["parameters"] == {"gain": [0.5, 1.0, 1.5]}
    assert result["explanation"]["way"] == "one step after the other"
    # The state settles where tanh is flat: the exponent is the logarithm of the slope there.
    state = 0.0
    for _ in range(300):
        state = 0.5 * np.tanh(state) + 1
    assert result["diagnosis"]["exponent"]["value"] == pytest.approx(np.log(0.5 / np.cosh(state) ** 2), rel=0.05)


def visit(page, width, folder):
    """Errors of a page in a window of some width, what it asks a network for, and by how much it is wider."""
    with opened_page(folder / "profile") as found:
        found.open(page.as_uri(), width)
        return found.problems, found.requests, found.run(WIDTH) - width


@NEEDS_BROWSER
@pytest.mark.parametrize("width", [400, 1400])
def test_a_browser_opens_it_without_error_or_network(made, width, tmp_path):
    errors, requests, overflow = visit(made[0], width, tmp_path)
    assert errors == []
    assert requests == []
    assert overflow <= 0


@NEEDS_BROWSER
def test_a_page_with_faults_is_seen(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        "<!DOCTYPE html><link rel=icon href=data:,><img src=http://localhost:9/x.png><div style=width:900px>x</div>"
        "<script>console.error('planted')</script>"
    )
    errors, requests, overflow = visit(page, 400, tmp_path)
    assert any("planted" in each for each in errors)
    assert any("localhost" in each for each in requests)
    assert overflow > 0


def test_names_and_reasons_are_escaped(made):
    findings = made[2]
    plan = findings.plan.__class__(**{**vars(findings.plan), "reasons": (HOSTILE,)})
    text = report_page(findings._replace(name=HOSTILE, command=HOSTILE, plan=plan, remarks=[HOSTILE]))
    assert "<script>" not in text
    # Title, heading, remark, reason, command.
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#x27;") == 5
    assert Reader(text).open == []


@pytest.mark.slow
@pytest.mark.parametrize("length", [1, 2])
def test_the_shortest_sequences_have_a_report(folder, length):
    name = "reported_module:<img src=x onerror=alert(1)>"
    found = invoke(name, "--html", f"short {length}.html", "--no-measure", "--length", length)
    assert found.exit_code == 0, found.output
    assert "<img" not in (folder / f"short {length}.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("lorenz",), "expected a file, or --json"),
        (("lorenz", "--html", "x.txt"), "expected a name ending in .htm or .html"),
        (("lorenz", "--html", "reported_module.py/x.html"), "cannot be written"),
        (("no_such_module:make", "--html", "x.html"), "expected module:function"),
        (("reported_module:unlucky", "--html", "x.html"), "ZeroDivisionError"),
        (("reported_module:empty", "--html", "x.html"), "length: given 0"),
        (("reported_module:make", "--html", "x.html", "--sweep", "gain", "0.5:2.0"), "expected LOW:HIGH:POINTS"),
        (("reported_module:make", "--html", "x.html", "--sweep", "gain", "2:1:5"), "with HIGH above LOW"),
        (
            ("reported_module:make", "--html", "x.html", "--sweep", "pain", "1:2:5"),
            "given pain, expected the arguments",
        ),
        (("lorenz", "--html", "x.html", "--sweep", "row", "1:2:5"), "rho"),
        (("reported_module:make", "--html", "x.html", "--sweep", "gain", "0:nan:5"), "with HIGH above LOW"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_measured(folder, monkeypatch, arguments, text):
    if "unlucky" not in arguments[0] and "empty" not in arguments[0]:
        monkeypatch.setattr(report_command.ps, "diagnose", lambda *_, **__: pytest.fail("measured"))
    found = invoke(*arguments)
    assert found.exit_code == 2, found.output
    assert text in plain(found)
    assert not (folder / "x.html").exists()


@pytest.mark.slow
def test_a_system_that_is_lost_has_a_report_that_says_so(folder):
    found = invoke("reported_module:lost", "--html", "lost.html", "--no-measure")
    assert found.exit_code == 0, found.output
    words = " ".join(Reader((folder / "lost.html").read_text(encoding="utf-8")).texts)
    for each in ("undetermined", "unknown", "its largest Lyapunov exponent is unknown"):
        assert each in words
    assert not re.search(r"\b(nan|inf)\b", words)


def test_a_file_that_fails_at_the_end_is_wrong_usage(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    for name in ("write_text", "_measured", "report_page"):
        monkeypatch.setattr(report_command, name, full if name == "write_text" else lambda *_: None)
    found = invoke("reported_module:make", "--html", "x.html")
    assert found.exit_code == 2
    assert "No space left" in plain(found)


def test_ctrl_c_leaves_the_file_that_was_there(folder, monkeypatch):
    page = folder / "old.html"
    page.write_text("old")

    def pressed(*_, **__):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(report_command, "window_growth", pressed)
    monkeypatch.setattr(report_command.ps, "diagnose", lambda *_, **__: None)
    found = invoke("reported_module:make", "--html", page)
    assert found.exit_code == 130
    assert "nothing was written" in found.output
    assert page.read_text() == "old"
    assert not list(folder.glob("*.tmp"))


def test_without_matplotlib_the_extra_is_named(folder, no_matplotlib):
    found = invoke("lorenz", "--html", "x.html")
    assert found.exit_code == 2
    assert "pip install '.[plot]' in a clone of parascan" in plain(found)


def test_what_is_found_draws_and_shows_itself(made):
    findings = made[2]
    for found, panels in ((findings.diagnosis, 2), (findings.plan, 1), (findings.sweep, 2)):
        assert len(found.plot().axes) == panels
        texts = [each.get_text() for each in found.plot(title="of mine").findobj() if hasattr(each, "get_text")]
        assert any("of mine" in each for each in texts)
        shown = found._repr_html_()
        assert Reader(shown).open == []
        assert shown.startswith('<section class="parascan"><style>')
    assert len(findings.diagnosis.plot(findings.growth).axes) == 3
    assert f"{float(findings.diagnosis.exponent.low):.4g} to" in findings.diagnosis._repr_html_()
    assert all(each.name in findings.plan._repr_html_() for each in findings.plan.candidates)
    assert findings.sweep.summary()[0] in findings.sweep._repr_html_()
