"""What the package says about itself is said in one place, or agrees with that place."""

import re
import shlex
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from repository import PACKAGE, ROOT, files, name

import parascan as ps
from combinations import some

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ADDRESS = PROJECT["urls"]["Repository"]
EXTRAS = PROJECT["optional-dependencies"]
README = (ROOT / "README.md").read_text()
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
RECIPE = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text())
WORKFLOWS = files(".github/workflows", suffix=".yml")
FORMS = [path for path in files(".github/ISSUE_TEMPLATE", suffix=".yml") if path.stem != "config"]
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
LINK = re.compile(r"\]\(([^)\s]+)\)")
INSTALL = re.compile(r"pip install (\S+)( in a clone of parascan)?")


def commands(workflow):
    """Every command line of a workflow's jobs."""
    jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
    return [line for job in jobs for step in job["steps"] for line in step.get("run", "").splitlines()]


def repository_links(text):
    """Files and folders of the repository that a text links to by their address."""
    return re.findall(rf"{ADDRESS}/(?:blob|tree|raw)/main/([^)\s#\"]+)", text)


def relative(text):
    """Links of a page that are dead where the page is shown alone."""
    return [link for link in LINK.findall(text) if not re.match(r"https://|#", link)]


def wrong_lines(text):
    """Lines that say how to install something, but not an extra of this package from a clone."""
    return [
        match.group()
        for match in INSTALL.finditer(text)
        if not (match[2] and (extra := re.fullmatch(r"'\.\[(\w+)\]'", match[1])) and extra[1] in EXTRAS)
    ]


def test_version_is_written_once_and_copies_agree():
    assert PROJECT["dynamic"] == ["version"]
    assert CITATION["version"] == ps.__version__


@pytest.mark.parametrize("arguments", some([["--version"], ["-h"]], ["-h"]))
def test_package_runs_as_a_module(arguments):
    found = subprocess.run(
        [sys.executable, "-m", "parascan", *arguments], capture_output=True, text=True, check=True
    ).stdout
    assert (ps.__version__ if arguments == ["--version"] else "diagnose") in found


def test_package_is_typed():
    assert (PACKAGE / "py.typed").exists()


def test_readme_has_no_relative_link():
    assert relative(README) == []
    assert len(repository_links(README)) > 10


def test_readme_is_short_and_shows_a_picture():
    assert len(README.splitlines()) <= 120
    assert [link for link in repository_links(README) if link.endswith(".png")]


def test_addresses_of_files_are_those_of_files():
    pages = [
        ROOT / "README.md",
        ROOT / "pyproject.toml",
        *files("docs", suffix=".md"),
        *files(".github", suffix=".yml"),
    ]
    dead = {
        name(page): [each for each in repository_links(page.read_text()) if not (ROOT / each).exists()]
        for page in pages
    }
    assert {page: links for page, links in dead.items() if links} == {}


def test_address_is_the_same_everywhere():
    host = ADDRESS.rsplit("/", 2)[0]
    texts = [README, *((ROOT / each).read_text() for each in ("CITATION.cff", "SECURITY.md", "conda/recipe.yaml"))]
    found = {each for text in texts for each in re.findall(rf"{host}/[\w.-]+/parascan", text)}
    assert found == {ADDRESS}


def test_messages_install_extras_that_there_are_from_a_clone():
    texts = {name(path): re.sub(r"\"\s*f?\"", "", path.read_text()) for path in files("src", suffix=".py")}
    texts = {label: text for label, text in texts.items() if not label.endswith("api/extras.py")}
    assert {label: wrong for label, text in texts.items() if (wrong := wrong_lines(text))} == {}
    assert sum("in a clone of parascan" in text for text in texts.values()) >= 2


def test_every_extra_that_code_names_is_one():
    calls = {label: re.findall(r"\bmissing\([^()]*\"(\w+)\"\)", text) for label, text in _sources().items()}
    named = [extra for found in calls.values() for extra in found]
    assert len(named) >= 4
    assert set(named) <= set(EXTRAS)


def _sources():
    """Texts of the package by name."""
    return {name(path): path.read_text() for path in files("src", suffix=".py")}


def test_classifiers_are_the_supported_pythons():
    minors = [int(each) for each in re.findall(r":: 3\.(\d+)", "\n".join(PROJECT["classifiers"]))]
    least = int(PROJECT["requires-python"].removeprefix(">=3."))
    assert minors == list(range(least, max(minors) + 1))
    assert f"3.{min(minors)} to 3.{max(minors)}" in README


def test_recipe_asks_for_what_the_package_asks_for():
    # A recipe for every Python at once has the bounds of the oldest one.
    oldest = {"python_version": PROJECT["requires-python"].removeprefix(">=")}
    needed = [Requirement(each) for each in PROJECT["dependencies"]]
    asked = {each.name: str(each.specifier) for each in needed if not each.marker or each.marker.evaluate(oldest)}
    recipe = dict(each.split(" ", 1) for each in RECIPE["requirements"]["run"] if not each.startswith("python "))
    assert recipe == asked
    assert RECIPE["context"]["python_min"] == PROJECT["requires-python"].removeprefix(">=")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=name)
def test_workflows_call_targets_that_there_are(workflow):
    lines = [line for line in commands(workflow) if line.startswith("make ")]
    called = [word for line in lines for word in shlex.split(line)[1:] if "=" not in word]
    assert [word for word in called if word not in TARGETS] == []
    assert yaml.safe_load(workflow.read_text())["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("form", FORMS, ids=name)
def test_forms_about_faults_ask_for_the_environment(form):
    text = form.read_text()
    assert "`parascan env`" in text or "feature" in text


def test_planted_faults_are_seen():
    assert relative("see [a](docs/layers.md), [b](#here), [c](https://example.org)") == ["docs/layers.md"]
    assert wrong_lines("no: pip install 'parascan[plot]'") != []
    assert wrong_lines("no: pip install '.[nothing]' in a clone of parascan") != []
    assert wrong_lines("no: pip install '.[plot]' in a clone of parascan") == []
    assert repository_links(f"({ADDRESS}/blob/main/no.md), ![a]({ADDRESS}/raw/main/no.png)") == ["no.md", "no.png"]
