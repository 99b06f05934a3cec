"""A stored number is found again for as long as the code that decides it is the same, and no longer."""

import importlib.util
import sys

import pytest

from parascan.paper.harness import source as _source

MAIN = '''
"""A figure."""

from .helper import scale as factor
from .helper import unused

LIMIT = 3

def measure(point, folder):
    """Measured."""
    return {"value": factor(point) * LIMIT}

def claims(dataset):
    return unused(dataset)
'''
HELPER = """
STEP = 2

def scale(point):
    # A comment.
    return point * STEP

def unused(dataset):
    return 1
"""


@pytest.fixture
def digest(tmp_path):
    """A function that returns the digest of a measurement for two texts of its modules."""

    def of(main=MAIN, helper=HELPER):
        (tmp_path / "figure.py").write_text(main)
        (tmp_path / "helper.py").write_text(helper)
        (tmp_path / "__init__.py").write_text("")
        for name in ("planted", "planted.helper", "planted.figure"):
            sys.modules.pop(name, None)
        locations = [str(tmp_path)]
        package = importlib.util.spec_from_file_location(
            "planted", tmp_path / "__init__.py", submodule_search_locations=locations
        )
        sys.modules["planted"] = importlib.util.module_from_spec(package)
        module = importlib.import_module("planted.figure")
        _source._definitions.cache_clear()
        return _source.digest_of(module.measure)

    yield of
    for name in ("planted", "planted.helper", "planted.figure"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("main", "helper"),
    [
        (MAIN.replace("LIMIT = 3", "LIMIT = 4"), HELPER),
        (MAIN.replace("* LIMIT", "+ LIMIT"), HELPER),
        (MAIN, HELPER.replace("STEP = 2", "STEP = 5")),
        (MAIN, HELPER.replace("point * STEP", "point - STEP")),
    ],
)
def test_code_that_a_measurement_reaches_counts(digest, main, helper):
    assert digest(main, helper) != digest()


@pytest.mark.parametrize(
    ("main", "helper"),
    [
        (MAIN.replace("return unused(dataset)", "return None"), HELPER),
        (MAIN.replace("Measured.", "Something is measured."), HELPER),
        (MAIN, HELPER.replace("# A comment.", "# Another one.")),
        (MAIN, HELPER.replace("return 1", "return 2")),
    ],
)
def test_claims_comments_and_what_is_not_reached_do_not(digest, main, helper):
    assert digest(main, helper) == digest()


def test_the_library_counts_and_its_surface_does_not(tmp_path, monkeypatch):
    (tmp_path / "paper").mkdir()
    (tmp_path / "core.py").write_text("x = 1")
    (tmp_path / "paper" / "fig.py").write_text("x = 1")
    monkeypatch.setattr(_source, "PACKAGE", tmp_path)
    whole = _source.library_digest.__wrapped__
    first = whole()
    (tmp_path / "paper" / "fig.py").write_text("x = 2")
    (tmp_path / "core.py").write_text("x = 1  # one")
    assert whole() == first
    (tmp_path / "core.py").write_text("x = 2")
    assert whole() != first


def test_code_of_a_neighboring_folder_counts(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))

    def of(step):
        for name in [each for each in sys.modules if each.partition(".")[0] == "neighbors"]:
            sys.modules.pop(name)
        for path, text in {
            "__init__.py": "",
            "harness/__init__.py": "",
            "experiments/__init__.py": "",
            "harness/helper.py": f"def scale(point):\n    return {step} * point\n",
            "experiments/figure.py": "from ..harness.helper import scale\n\ndef measure(x):\n    return scale(x)\n",
        }.items():
            place = tmp_path / "neighbors" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        importlib.invalidate_caches()
        _source._definitions.cache_clear()
        return _source.digest_of(importlib.import_module("neighbors.experiments.figure").measure)

    assert of(2) == of(2) != of(3)
