"""Where the project's files are, and what the meta tests ask of them more than once."""

import ast
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "parascan"
FOLDERS = (".ci", ".github", "conda", "src", "tests", "docs", "examples", "benchmarks")
TEXT = {".cfg", ".ini", ".json", ".lock", ".md", ".py", ".sh", ".toml", ".txt", ".yaml", ".yml"}

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


def files(*folders: str, suffix: str) -> list[Path]:
    """Files with that suffix below folders of the repository, in a fixed order; a missing folder has none."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob(f"*{suffix}"))


def project_files() -> list[Path]:
    """Every text file of the project, without what is built or ignored, and without git's own in a linked worktree."""
    nested = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    paths = [path for path in [*ROOT.iterdir(), *nested] if path.is_file() and "__pycache__" not in path.parts]
    return sorted(path for path in paths if (path.suffix in TEXT or not path.suffix) and path.name != ".git")


def name(path: Path) -> str:
    """The path as a reader of the repository writes it."""
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    """Dotted name of a module of the package."""
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def parse(path: Path) -> ast.Module:
    """The file's syntax tree."""
    return ast.parse(path.read_text(), filename=str(path))


def offenders(rule: Callable[[ast.Module], list[str]], paths: Sequence[Path]) -> dict[str, list[str]]:
    """What a rule finds in each file that breaks it, by the file's name."""
    found = {name(path): rule(parse(path)) for path in paths}
    return {label: breaches for label, breaches in found.items() if breaches}


def definitions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.ClassDef | Function]]:
    """Classes, functions and methods with their qualified names, without what is local to a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield prefix + node.name, node
            yield from definitions(node, f"{prefix}{node.name}.")
        elif isinstance(node, Function):
            yield prefix + node.name, node
        elif isinstance(node, ast.If | ast.Try):
            yield from definitions(node, prefix)


def dotted(node: ast.AST) -> str:
    """``a.b.c`` for a chain of attributes that starts at a name, else nothing."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        value = dotted(node.value)
        return f"{value}.{node.attr}" if value else ""
    return ""
