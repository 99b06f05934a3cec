"""Every example in the documentation runs: Python blocks of Markdown files, and docstrings."""

import ast
import importlib
import importlib.util
import re
from pathlib import Path

import jax
import pytest
from blocks_of_pages import Example, blocks, run_in_order
from repository import ROOT, definitions, files, module_name, name, parse
from tutorial_pictures import TUTORIALS, drawn_by

DOCUMENTS = [path for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md"] if path.exists()] + files(
    "docs", suffix=".md"
)
# They diagnose, certify and train for tens of seconds.
LONG = {
    "09_own_solver.md",
    "mcmc.md",
    "reports.md",
    "diagnosing.md",
    "diffusion.md",
    "certificates.md",
    "layers.md",
    "exponents.md",
    "choosing.md",
    "planning.md",
    "sweeping.md",
    "tour.md",
    "01_is_my_scan_a_candidate.md",
    "02_recurrent_classifier.md",
    "04_kalman_filter.md",
    "05_reservoir.md",
    "06_filter_inside_nuts.md",
    "07_chains.md",
    "08_how_wrong_can_it_be.md",
}
LONG_EXAMPLES = {
    "parascan.api.sweeping.parameter_sweep:sweep_parameters",
    "parascan.diagnostics.diagnose:diagnose",
    "parascan.nn.contractive:ContractiveCell",
    "parascan.planning.plan:plan",
    "parascan.samplers.sampling:sample",
}
"""Docstrings whose functions the README calls, too, or that compile for seconds."""
NEEDS_TORCH = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is not installed: make torch"
)
NEEDS_DIFFRAX = pytest.mark.skipif(importlib.util.find_spec("diffrax") is None, reason="Diffrax is not installed")

NEEDS = re.compile(r"^<!-- needs: (\w+) -->$", re.M)
"""A page's note of a package without which it cannot run."""


def docstrings(path: Path) -> dict[str, Example]:
    """Docstrings with examples, by qualified name."""
    tree = parse(path)
    nodes = {"module": tree, **dict(definitions(tree))}
    texts = {qualified: (ast.get_docstring(node), node) for qualified, node in nodes.items()}
    return {
        qualified: Example(text, path, node.body[0].lineno)
        for qualified, (text, node) in texts.items()
        if text and ">>>" in text
    }


SOURCES = {
    f"{module_name(path)}:{label}": example
    for path in files("src", suffix=".py")
    for label, example in docstrings(path).items()
}


def marks(is_long: bool, needs_torch: bool) -> list:
    """Marks of an example."""
    return [pytest.mark.slow] * is_long + [NEEDS_TORCH] * needs_torch


@pytest.fixture(autouse=True)
def sandbox(tmp_path, monkeypatch):
    """Examples write into an empty folder, draw without a screen, and leave JAX's configuration as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    before = dict(jax.config.values)
    yield
    for key, value in jax.config.values.items():
        if value != before[key]:
            jax.config.update(key, before[key])


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=marks(path.name in LONG, path.name == "pytorch.md")) for path in DOCUMENTS],
    ids=name,
)
def test_blocks_of_a_document_run_in_order(path):
    text = path.read_text()
    for package in NEEDS.findall(text):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed, which {path.name} says how to install")
    run_in_order(blocks(text, path))
    drawn = drawn_by(text) if path in TUTORIALS else None
    assert drawn is None or Path(drawn).stat().st_size > 1000


@pytest.mark.parametrize(
    "label",
    [
        pytest.param(
            label,
            marks=marks(label in LONG_EXAMPLES, label.startswith("parascan.torch"))
            + [NEEDS_DIFFRAX] * label.startswith("parascan.systems.diffrax_steps"),
        )
        for label in SOURCES
    ],
)
def test_docstring_example_runs(label):
    example = SOURCES[label]
    module = importlib.import_module(module_name(example.path))
    assert "+SKIP" not in example.code
    example.run(dict(vars(module)))


def test_examples_stand_under_the_heading_that_the_site_knows():
    wrong = [str(path) for path in files("src", suffix=".py") if re.search(r"^ +Example:$", path.read_text(), re.M)]
    assert wrong == [], "Examples: is the section's name, Example: runs its lines together"


@pytest.mark.parametrize(
    "text",
    ["```python\nassert 1 == 2\n```", "```python\n>>> 1 + 1\n3\n```", "```python\nx = 1\n```\n\n```python\nx / 0\n```"],
)
def test_a_planted_failure_is_seen(text):
    with pytest.raises((AssertionError, ZeroDivisionError)):
        run_in_order(blocks(text, ROOT / "README.md"))


def test_blocks_share_names_and_excused_or_foreign_blocks_do_not_run():
    text = """
```python
x = 1
```
```sh
false
```
```python
>>> y = x + 1
>>> y
2
```
```python
assert y == 2
```
<!-- not run: needs two machines -->
```python
1 / 0
```
"""
    examples = blocks(text, ROOT / "README.md")
    run_in_order(examples)
    assert [example.line for example in examples] == [3, 9, 14]
