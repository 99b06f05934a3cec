"""Imports go one way; optional and heavy packages have one home."""

import ast
import textwrap

import pytest
from repository import PACKAGE, files, module_name, name, parse

# A unit (a module or folder directly in the package) imports only from rows above its own.
LAYERS = (
    ("_types", "_results", "_certificate", "_sight", "_unknown", "_inside", "_platform", "files"),
    ("_written", "_axes", "_dtypes", "_success", "_rebind", "_forward"),
    ("_hoist",),
    ("lanes",),
    ("linear", "_carry", "_compile", "_dependency"),
    ("_pullback_rules",),
    ("_signature", "_structure", "_precision", "_narrow"),
    ("_problem", "_two_stages"),
    ("_jacobian", "_view", "_solution", "_blocks", "_pullback", "_replay", "guesses"),
    ("_criterion",),
    ("solvers",),
    ("_iterate", "_memory"),
    ("_adjoint", "_guard"),
    ("_forgetting",),
    ("_sequential",),
    ("diagnostics",),
    ("planning",),
    ("_options", "_devices"),
    ("_evaluate", "_failure"),
    ("_rollout", "_explain"),
    ("sweeping",),
    ("_checkpoint",),
    ("_inflow",),
    ("_stream",),
    ("systems", "nn"),
    ("paper", "plot", "report"),
    ("cli", "__main__"),
)
RANK = {unit: rank for rank, row in enumerate(LAYERS) for unit in row}
SYSTEMS_MAY_IMPORT = {"_types"}
SURFACE = {"paper", "plot", "report", "cli", "__main__"}
ROOT_MODULE = ""

# Packages that a plain import of parascan must not load: the units that may use them, and where they may be imported.
OPTIONAL = {
    "matplotlib": {"plot", "paper"},
    "dysts": {"systems"},
    "typer": {"cli"},
    "rich": SURFACE,
    "optax": {"solvers", "paper"},
    "flax": {"nn"},
    "xarray": {"paper"},
    "distributed": {"paper"},
}
LAZY = {
    "matplotlib": {"paper"},
    "dysts": {"systems"},
    "optax": {"solvers", "paper"},
    "xarray": {"paper"},
    "distributed": {"paper"},
}


def is_lazy(node: ast.AST) -> bool:
    """Whether what a node holds runs after the import of its module or not at all."""
    for_types = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return for_types or isinstance(node, ast.FunctionDef)


def imported(tree: ast.Module, module: str, is_package: bool) -> list[tuple[str, bool]]:
    """Absolute dotted names that a module imports, with whether it does so when it is itself imported."""
    inside = {id(node) for f in ast.walk(tree) if is_lazy(f) for node in ast.walk(f)}
    home = module.split(".") if is_package else module.split(".")[:-1]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = home[: len(home) - node.level + 1] if node.level else []
            base = [*base, *(node.module.split(".") if node.module else [])]
            within = base == ["parascan"]
            targets = [".".join([*base, alias.name]) for alias in node.names] if within else [".".join(base)]
        else:
            continue
        found.extend((target, id(node) not in inside) for target in targets)
    return found


def unit_of(dotted: str) -> str:
    """The unit of the package that a dotted name inside it belongs to; the root module for a name it exports."""
    parts = dotted.split(".")
    unit = parts[1] if len(parts) > 1 else ROOT_MODULE
    return unit if unit in RANK or unit.startswith("_") else ROOT_MODULE


def may_import(unit: str, target: str) -> bool:
    """Whether the order of the layers allows one unit to import another."""
    if unit == target:
        return True
    if unit in SURFACE:
        private = target.startswith("_")
        return not private and (target == ROOT_MODULE or RANK[target] <= RANK[unit])
    if unit == "systems":
        return target in SYSTEMS_MAY_IMPORT
    return target != ROOT_MODULE and RANK[target] < RANK[unit]


def complaints(tree: ast.Module, module: str, is_package: bool = False) -> list[str]:
    """What a module's imports break."""
    unit = module.split(".")[1]
    if unit not in RANK:
        return [f"{unit} has no place in LAYERS"]
    found = []
    for target, eager in imported(tree, module, is_package):
        top = target.split(".")[0]
        if top == "parascan":
            other = unit_of(target)
            if other != ROOT_MODULE and other not in RANK:
                found.append(f"{other} has no place in LAYERS")
            elif not may_import(unit, other):
                found.append(f"{unit} must not import {other or 'parascan'}")
        elif top in OPTIONAL and unit not in OPTIONAL[top]:
            found.append(f"{top} is imported outside {sorted(OPTIONAL[top])}")
        elif eager and unit in LAZY.get(top, ()):
            found.append(f"{top} is imported before it is needed; move the import into the function that uses it")
    return found


MODULES = [path for path in files("src", suffix=".py") if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_imports_go_one_way(path):
    assert complaints(parse(path), module_name(path), path.name == "__init__.py") == []


def test_root_exports_the_library_and_not_its_surface():
    units = {unit_of(target) for target, _ in imported(parse(PACKAGE / "__init__.py"), "parascan", True)}
    assert units & SURFACE == set()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("parascan.linear.recurrence", "from .._problem import Recurrence"),
        ("parascan._problem", "from . import solvers"),
        ("parascan.solvers.newton", "from parascan._rollout import rollout"),
        ("parascan.diagnostics.lyapunov", "import parascan as ps"),
        ("parascan._iterate", "def f():\n    from .systems import lorenz"),
        ("parascan.systems.maps", "from .._problem import Recurrence"),
        ("parascan.cli", "from ._rollout import rollout"),
        ("parascan.solvers.newton", "import matplotlib.pyplot as plt"),
        ("parascan.paper.table1", "from matplotlib import pyplot"),
        ("parascan.systems.flows", "import dysts.flows"),
        ("parascan.paper._run", "import xarray"),
        ("parascan.diagnostics.lyapunov", "def f():\n    import distributed"),
        ("parascan._novelty", "import math"),
    ],
)
def test_a_planted_violation_is_seen(module, source):
    assert complaints(ast.parse(textwrap.dedent(source)), module) != []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("parascan.solvers.newton", "from ..linear import linear_recurrence\nfrom .base import Iterate"),
        ("parascan.systems.flows", "from .._types import State\ndef f():\n    import dysts"),
        ("parascan.cli", "import parascan as ps\nfrom .plot import trajectory\nfrom . import systems"),
        ("parascan.paper.table1", "from parascan import deer, rollout"),
        ("parascan.paper.table1", "if TYPE_CHECKING:\n    import xarray"),
    ],
)
def test_an_import_that_is_in_order_passes(module, source):
    assert complaints(ast.parse(textwrap.dedent(source)), module) == []
