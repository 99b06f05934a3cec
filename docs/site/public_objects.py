"""Public names of the package and where each is defined, read from its files; nothing is imported.

A function that has the name of its module can only be documented by the path of its definition: the shorter path is
that of the module.
"""

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
TOP = "parascan"
NAMESPACES = {
    "parascan.nn": "ps.nn: layers",
    "parascan.nn.flax": "parascan.nn.flax",
    "parascan.mcmc": "ps.mcmc: Markov chains",
    "parascan.samplers": "ps.samplers: diffusion",
    "parascan.systems": "ps.systems",
    "parascan.solvers.guesses": "ps.guesses",
    "parascan.torch": "parascan.torch",
    "parascan.diagnostics": "parascan.diagnostics",
    "parascan.planning": "parascan.planning",
    "parascan.linear": "parascan.linear",
    "parascan.solvers": "parascan.solvers",
    "parascan.solvers.criterion": "parascan.solvers.criterion",
}
"""Modules with public names of their own, and the titles of their pages."""


class Found(NamedTuple):
    """A public name.

    Attributes:
        name: as it is exported.
        path: dotted path of its definition.
        kind: ``"module"``, ``"class"``, ``"function"`` or ``"value"``.
    """

    name: str
    path: str
    kind: str


def file_of(module: str) -> Path | None:
    """The file of a module or package; None where there is none."""
    base = SOURCE.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.exists()), None)


@cache
def tree_of(module: str) -> ast.Module:
    """The syntax tree of a module."""
    path = file_of(module)
    if path is None:
        raise LookupError(f"module: given {module!r}, expected a module of the package.")
    return ast.parse(path.read_text(encoding="utf-8"))


def absolute(module: str, node: ast.ImportFrom) -> str:
    """The module that a ``from`` import names, from within ``module``."""
    if not node.level:
        return node.module or ""
    path = file_of(module)
    parts = module.split(".")
    parts = parts[: len(parts) - node.level + (path is not None and path.name == "__init__.py")]
    return ".".join(parts + ([node.module] if node.module else []))


def imported(module: str) -> dict[str, tuple[str, str]]:
    """Names that a module imports from this package: the module and the name there."""
    nodes = [node for node in tree_of(module).body if isinstance(node, ast.ImportFrom)]
    return {
        each.asname or each.name: (absolute(module, node), each.name)
        for node in nodes
        for each in node.names
        if absolute(module, node).split(".")[0] == TOP
    }


def defined(module: str) -> dict[str, str]:
    """What a module defines at its top level: kind by name."""
    kinds = {}
    for node in tree_of(module).body:
        if isinstance(node, ast.ClassDef):
            kinds[node.name] = "class"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            kinds[node.name] = "function"
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            kinds |= {each.id: "value" for each in targets if isinstance(each, ast.Name)}
    return kinds


def resolve(module: str, name: str) -> Found:
    """Where a name of a module is defined.

    Raises:
        LookupError: the module has no such name.
    """
    exported = name
    while True:
        if name in defined(module):
            return Found(exported, f"{module}.{name}", defined(module)[name])
        if imported(module).get(name) in (None, (module, name)):
            if file_of(f"{module}.{name}") is not None:
                return Found(exported, f"{module}.{name}", "module")
            raise LookupError(f"name: given {name!r}, which {module} does not have.")
        module, name = imported(module)[name]


def summary(found: Found) -> str:
    """The first sentence of what documents a name; empty where it is a value."""
    module, _, name = found.path.rpartition(".")
    for node in tree_of(module).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    return ""


def exported(module: str) -> list[str]:
    """Public names of a module: ``__all__``, else what it re-exports, else what it defines, without an underscore."""
    for node in tree_of(module).body:
        if isinstance(node, ast.Assign) and any(getattr(each, "id", "") == "__all__" for each in node.targets):
            return list(ast.literal_eval(node.value))
    path = file_of(module)
    package = path is not None and path.name == "__init__.py"
    names = imported(module) if package else {each: kind for each, kind in defined(module).items() if kind != "value"}
    return [each for each in names if not each.startswith("_")]


def top() -> list[Found]:
    """The names of ``import parascan as ps`` without its namespaces, in the order of the alphabet."""
    found = [resolve(TOP, each) for each in exported(TOP)]
    return sorted((each for each in found if each.kind != "module"), key=lambda each: each.name.lower())


def members(namespace: str) -> list[Found]:
    """The names of a namespace in the order of the alphabet, without those of ``ps`` itself and without modules."""
    own = {each.path for each in top()}
    found = [resolve(namespace, each) for each in exported(namespace)]
    kept = [each for each in found if each.kind != "module" and each.path not in own]
    return sorted(kept, key=lambda each: each.name.lower())
