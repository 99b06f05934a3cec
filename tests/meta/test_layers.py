"""Imports go one way; optional and heavy packages have one home."""

import ast
import textwrap

import pytest
from repository import PACKAGE, files, module_name, name, parse

# The rooms of the package: folders and one file directly in it. Each imports only from rows above its own.
LAYERS = (
    ("solution",),
    ("programs",),
    ("chunked",),
    ("linear",),
    ("problem",),
    ("adjoint",),
    ("solvers",),
    ("diagnostics",),
    ("planning",),
    ("api",),
    ("pictures",),
    ("systems", "nn", "mcmc", "samplers"),
    ("torch",),
    ("paper",),
    ("cli",),
)
# The same within a room that has folders of its own. What a row does not name may be imported by every row.
INNER = {
    "diagnostics": (
        ("estimate",),
        ("conditioning",),
        ("certificate",),
        ("growth",),
        ("forecast",),
        ("diagnosis",),
        ("diagnose",),
    ),
    "paper": (("figures",), ("harness",), ("experiments",)),
    "linear": (("_abstract",), ("backends",), ("recurrence",)),
}
RANK = {room: rank for rank, row in enumerate(LAYERS) for room in row}
SYSTEMS_MAY_IMPORT = {"solution"}
# What is found can draw itself; what draws it is imported when a picture or a notebook asks for it, not before.
DRAWN = {"diagnostics", "planning", "api"}
SURFACE = {"paper", "cli"}
ROOT_MODULE = ""

# Packages that a plain import of parascan must not load: the units that may use them, and where they may be imported.
OPTIONAL = {
    "matplotlib": {"paper", "pictures"},
    "dysts": {"systems"},
    "diffrax": {"systems"},
    "typer": {"cli"},
    "rich": SURFACE,
    "optax": {"solvers", "paper"},
    "flax": {"nn"},
    "torch": {"torch"},
    "xarray": {"paper"},
    "distributed": {"paper"},
}
LAZY = {
    "matplotlib": {"paper", "pictures"},
    "dysts": {"systems"},
    "diffrax": {"systems"},
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


def room_of(dotted: str) -> str:
    """The room that a dotted name inside the package belongs to; the root module for a name that it exports."""
    parts = dotted.split(".")
    room = parts[1] if len(parts) > 1 else ROOT_MODULE
    return room if room in RANK or room.startswith("_") or (PACKAGE / room).is_dir() else ROOT_MODULE


def may_import(room: str, target: str) -> bool:
    """Whether the order of the layers allows one room to import another."""
    if room == target:
        return True
    if target == ROOT_MODULE:
        return room in SURFACE
    if room == "systems":
        return target in SYSTEMS_MAY_IMPORT
    return RANK[target] < RANK[room] or (room in SURFACE and RANK[target] == RANK[room])


def upward_inside(room: str, module: str, target: str) -> bool:
    """Whether an import within a room goes against the room's own order."""
    rank = {part: rank for rank, row in enumerate(INNER.get(room, ())) for part in row}
    own, other = (name.split(".")[2] if name.count(".") >= 2 else "" for name in (module, target))
    return own in rank and other in rank and rank[other] > rank[own]


def complaints(tree: ast.Module, module: str, is_package: bool = False) -> list[str]:
    """What a module's imports break."""
    room = module.split(".")[1]
    if room not in RANK:
        return [f"{room} has no place in LAYERS"]
    found = []
    for target, eager in imported(tree, module, is_package):
        top = target.split(".")[0]
        if top == "parascan":
            other = room_of(target)
            private = [part for part in target.split(".")[2:] if part.startswith("_")]
            if other != ROOT_MODULE and other not in RANK:
                found.append(f"{other} has no place in LAYERS")
            elif other == "pictures" and room in DRAWN and not eager:
                continue
            elif not may_import(room, other):
                found.append(f"{room} must not import {other or 'parascan'}")
            elif other == room and upward_inside(room, module, target):
                found.append(f"{module} must not import {target}")
            elif other not in (room, ROOT_MODULE) and private:
                found.append(f"{private[0]} belongs to {other} alone")
        elif top in OPTIONAL and room not in OPTIONAL[top]:
            found.append(f"{top} is imported outside {sorted(OPTIONAL[top])}")
        elif eager and room in LAZY.get(top, ()):
            found.append(f"{top} is imported before it is needed; move the import into the function that uses it")
    return found


MODULES = [path for path in files("src", suffix=".py") if path.parent != PACKAGE or path.stem in RANK]


def test_imports_go_one_way():
    found = {
        name(path): broken
        for path in MODULES
        if (broken := complaints(parse(path), module_name(path), path.name == "__init__.py"))
    }
    assert found == {}


def test_the_package_has_eighteen_rooms():
    rooms = {path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert rooms - {"__init__", "__main__", "__pycache__"} == set(RANK)
    assert len(RANK) == 18


def test_every_inner_row_names_what_is_there():
    for room, rows in INNER.items():
        for part in (part for row in rows for part in row):
            assert (PACKAGE / room / part).is_dir() or (PACKAGE / room / f"{part}.py").exists(), (room, part)


def test_names_of_files_are_unique():
    stems = [path.stem for path in MODULES if path.stem != "__init__"]
    assert sorted({stem for stem in stems if stems.count(stem) > 1}) == []


def test_root_exports_the_library_and_not_its_surface():
    rooms = {room_of(target) for target, _ in imported(parse(PACKAGE / "__init__.py"), "parascan", True)}
    assert rooms & SURFACE == set()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("parascan.linear.recurrence", "from ..problem.flat_recurrence import Recurrence"),
        ("parascan.problem.carry", "from .. import solvers"),
        ("parascan.solvers.newton", "from parascan.api.rollout import rollout"),
        ("parascan.diagnostics.diagnose", "import parascan as ps"),
        ("parascan.solvers.iterate", "def f():\n    from ..systems import lorenz"),
        ("parascan.diagnostics.diagnosis", "from ..pictures import diagnosis"),
        ("parascan.solvers.newton", "def f():\n    from ..pictures import plan"),
        ("parascan.systems.maps", "from ..problem.flat_recurrence import Recurrence"),
        ("parascan.cli.report", "from ..nn._cell import AbstractCell"),
        ("parascan.paper.experiments.fig1", "from ...cli import report"),
        ("parascan.paper.harness.run", "from ..experiments import registry"),
        ("parascan.diagnostics.growth.lyapunov", "from ..forecast.updates import forecast"),
        ("parascan.solvers.newton", "import matplotlib.pyplot as plt"),
        ("parascan.nn.gated", "import torch"),
        ("parascan.nn.gated", "from ..torch import Layer"),
        ("parascan.paper.experiments.table1", "from matplotlib import pyplot"),
        ("parascan.systems.chaotic_flows", "import dysts.flows"),
        ("parascan.paper.harness.run", "import xarray"),
        ("parascan.diagnostics.diagnose", "def f():\n    import distributed"),
        ("parascan.novelty.thing", "import math"),
    ],
)
def test_a_planted_violation_is_seen(module, source):
    assert complaints(ast.parse(textwrap.dedent(source)), module) != []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("parascan.solvers.newton", "from ..linear import linear_recurrence\nfrom .base import Iterate"),
        ("parascan.systems.chaotic_flows", "from ..solution import State\ndef f():\n    import dysts"),
        ("parascan.cli.app", "import parascan as ps\nfrom ..pictures import trajectory\nfrom .. import systems"),
        ("parascan.diagnostics.diagnosis", "def f():\n    from ..pictures import diagnosis"),
        ("parascan.paper.experiments.table1", "from parascan import deer, rollout"),
        ("parascan.paper.experiments.table1", "if TYPE_CHECKING:\n    import xarray"),
        ("parascan.diagnostics.forecast.verdict", "from ..growth.jumps import Jumps"),
    ],
)
def test_an_import_that_is_in_order_passes(module, source):
    assert complaints(ast.parse(textwrap.dedent(source)), module) == []
