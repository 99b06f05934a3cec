"""A digest of the code that decides a number, so that a stored number is used for as long as it would come out again.

Of the library every module counts, of the files of the tables and figures only what a measurement reaches by name: a
claim that is worded anew or a picture that is drawn anew leaves what was measured as it was. Comments, docstrings and
line breaks never count.
"""

import ast
import functools
import hashlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[2]

SURFACE = ("paper", "cli")
"""Rooms of the package that hold no numerics of the library."""


def digest_of(function: Callable[..., Any]) -> str:
    """Sixteen hexadecimal digits that change with the code which a module's function can reach.

    Args:
        function: of a module; names of its neighbors are followed into their files.
    """
    path = Path(inspect.getfile(function))
    found = hashlib.sha256(library_digest().encode())
    for part in sorted(_reached(path, function.__name__)):
        found.update(part.encode() + b"\0")
    return found.hexdigest()[:16]


@functools.cache
def library_digest() -> str:
    """A digest of all code of the package outside its surface."""
    found = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        if _is_library(path):
            place = path.relative_to(PACKAGE).as_posix()
            found.update(place.encode() + b"\0" + _meaning(ast.parse(path.read_bytes())).encode() + b"\0")
    return found.hexdigest()


def _is_library(path: Path) -> bool:
    """Whether a file is one of those that count as a whole."""
    return path.is_relative_to(PACKAGE) and path.relative_to(PACKAGE).parts[0] not in SURFACE


def _reached(path: Path, name: str) -> set[str]:
    """The definitions outside the library that a name of a module reaches, each as text."""
    waiting, seen, texts = [(path, name)], set(), set()
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        module, wanted = place
        definitions = _definitions(module)
        for node in definitions.get(wanted, []) if wanted else [each for all_ in definitions.values() for each in all_]:
            if isinstance(node, ast.ImportFrom):
                waiting.extend(_targets(module, node, wanted))
                continue
            texts.add(f"{module.stem}:{wanted}:{_meaning(node)}")
            waiting.extend((module, each) for each in _names(node))
    return texts


@functools.cache
def _definitions(path: Path) -> dict[str, list[ast.stmt]]:
    """The statements at the top of a module that give each of its names a meaning."""
    found: dict[str, list[ast.stmt]] = {}
    for node in ast.parse(path.read_bytes()).body:
        for name in _given(node):
            found.setdefault(name, []).append(node)
    return found


def _given(node: ast.stmt) -> Iterator[str]:
    """Names that a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.ImportFrom | ast.Import):
        yield from (alias.asname or alias.name for alias in node.names)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name))


def _targets(module: Path, node: ast.ImportFrom, wanted: str) -> Iterator[tuple[Path, str]]:
    """Where a name imported from a file outside the library is defined; an empty name for a whole module."""
    original = next(alias.name for alias in node.names if (alias.asname or alias.name) == wanted)
    if not node.level:
        return
    folder = module.parents[node.level - 1].joinpath(*(node.module or "").split("."))
    for path, name in ((folder.with_suffix(".py"), original), (folder / f"{original}.py", "")):
        if path.exists() and not _is_library(path):
            yield path, name


def _names(node: ast.AST) -> set[str]:
    """Every name that a statement mentions."""
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _meaning(node: ast.AST) -> str:
    """A statement without comments, docstrings and places."""
    for each in ast.walk(node):
        body = getattr(each, "body", None)
        if isinstance(body, list):
            kept = [line for line in body if not _is_text(line)]
            body[:] = kept or [ast.Pass()]
    return ast.dump(node)


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is nothing but a string, as documentation is."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
