"""Sizes a reader can hold, only public names of others, and nothing of one machine."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from repository import Function, definitions, dotted, files, module_name, name, parse, project_files

FILE_LINES = 300
FUNCTION_LINES = 60
# A path, or a path and a qualified name, with the reason why splitting it would be worse.
EXCEPTIONS: dict[str, str] = {}

CODE = files("src", "tests", "benchmarks", "examples", suffix=".py")
SOURCES = files("src", suffix=".py")
SURFACE = {"torch", "paper", "cli"}
# Holds the one function that users call in order to change the configuration.
ASKED_FOR = {"devices.py"}

PRIVATE = re.compile(r"\bjax\._src\b|\bequinox\.internal\b|\beqx\.internal\b|\beqxi\b")
IGNORE = re.compile(r"#\s*(?:type|pyright):\s*ignore")
EXCUSED = re.compile(r"#\s*(?:type|pyright):\s*ignore\[[\w, -]+\]\s+#\s+\S.{8,}")
PLACES = {
    "a path of one machine": re.compile(r"(?:^|[\s\"'`=:(\[])/(?:root|tmp|work|home|opt|Users)(?=[/\s\"'`]|$)", re.M),
    "a package index": re.compile(r"https?://[^\s)>\"']*(?:pypi|/simple\b|/wheels?\b|npmjs|artifact|mirror)", re.I),
    "an option that names an index": re.compile(
        r"--(?:extra-)?(?:index-url|find-links|trusted-host)[ =]+[\w.:/]*[:/.]"
    ),
    "a direct download": re.compile(r"@\s*(?:https?|file|git\+\w+)://"),
    "an address in a network": re.compile(r"(?<![\w.])(?:10|127|172|192)\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\w.])"),
}


def code_lines(function: Function) -> int:
    """Lines of a function without its decorators and docstring: documentation makes nothing harder to follow."""
    first = function.body[0]
    documentation = first.end_lineno - first.lineno + 1 if ast.get_docstring(function) else 0
    return function.end_lineno - function.lineno + 1 - documentation


def long_functions(tree: ast.Module) -> dict[str, int]:
    """Functions over the limit with their lines of code."""
    sizes = {label: code_lines(node) for label, node in definitions(tree) if isinstance(node, Function)}
    return {label: size for label, size in sizes.items() if size > FUNCTION_LINES}


def touches_configuration(tree: ast.Module) -> list[int]:
    """Lines that read or set JAX's configuration or the precision of numbers."""
    chains = [(node.lineno, dotted(node)) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)]
    return [line for line, chain in chains if chain == "jax.config" or chain.endswith("enable_x64")]


def unexcused_ignores(text: str) -> list[str]:
    """Lines that silence the type checker without naming the rule and the reason."""
    return [line for line in text.splitlines() if IGNORE.search(line) and not EXCUSED.search(line)]


def places(text: str) -> list[str]:
    """What in a text holds for one machine only."""
    return [f"{kind}: {match.group().strip()}" for kind, pattern in PLACES.items() for match in pattern.finditer(text)]


def test_files_are_short():
    lengths = {name(path): len(path.read_text().splitlines()) for path in CODE}
    assert {each: lines for each, lines in lengths.items() if lines > FILE_LINES and each not in EXCEPTIONS} == {}


def test_functions_are_short():
    sizes = {f"{name(path)}:{label}": size for path in CODE for label, size in long_functions(parse(path)).items()}
    assert {each: size for each, size in sizes.items() if each not in EXCEPTIONS} == {}


def test_every_exception_is_needed_and_has_a_reason():
    long_files = {name(path) for path in CODE if len(path.read_text().splitlines()) > FILE_LINES}
    functions = {f"{name(path)}:{label}" for path in CODE for label in long_functions(parse(path))}
    assert set(EXCEPTIONS) <= long_files | functions
    assert all(len(reason) > 20 for reason in EXCEPTIONS.values())


def offenders(paths: list[Path], complaints: Callable[[Path], list]) -> dict[str, list]:
    """What breaks a rule, by file."""
    return {name(path): found for path in paths if (found := complaints(path))}


def test_source_uses_public_names_of_others():
    assert offenders(SOURCES, lambda path: PRIVATE.findall(path.read_text())) == {}


def test_core_leaves_the_configuration_alone():
    core = [path for path in SOURCES if module_name(path).split(".")[1:2] not in [[room] for room in SURFACE]]
    others = [path for path in core if path.name not in ASKED_FOR]
    assert offenders(others, lambda path: touches_configuration(parse(path))) == {}


def test_silenced_types_have_a_reason():
    assert offenders(SOURCES, lambda path: unexcused_ignores(path.read_text())) == {}


def test_files_hold_on_every_machine():
    assert offenders(project_files(), lambda path: places(path.read_text())) == {}


def test_planted_violations_are_seen():
    long = "def f():\n" + "    x = 1\n" * FUNCTION_LINES
    assert long_functions(ast.parse(long)) == {"f": FUNCTION_LINES + 1}
    assert long_functions(ast.parse(long.replace("x = 1", '"""F."""', 1))) == {}
    assert PRIVATE.search("from jax._src import core")
    assert PRIVATE.search("import equinox.internal as eqxi")
    assert touches_configuration(ast.parse("jax.config.update('a', 1)")) == [1]
    assert touches_configuration(ast.parse("with jax.enable_x64(True): ...")) == [1]
    assert unexcused_ignores("x = 1  # type: ignore") != []
    assert unexcused_ignores("x = 1  # pyright: ignore[reportAny]") != []
    assert unexcused_ignores("x = 1  # pyright: ignore[reportAny]  # the stub lacks this overload") == []


@pytest.mark.parametrize(
    "words",
    [
        ("see ", "/ro", "ot/x"),
        ("cd '", "/wo", "rk'"),
        ("--index-", "url https:", "//host.org/x"),
        ("https:", "//py", "pi.org/simple"),
        ("name @ ", "https:", "//host.org/name.whl"),
        ("at 10.", "0.0.7"),
    ],
)
def test_a_planted_place_is_seen(words):
    assert places("".join(words)) != []


@pytest.mark.parametrize(
    "text", ["depth/work/memory in T and D", "see https://arxiv.org/abs/2508.16817", "a/home/b", "--no-emit-index-url"]
)
def test_an_innocent_text_passes(text):
    assert places(text) == []
