"""The map of the paper's theory: each statement, where it lives in the code, which test can make it fail.

Statements and tests are in ``docs/site/theory_facts.toml``; where a statement lives is read from the ``Source:`` lines
of docstrings. As a program, it writes ``docs/theory.md``.
"""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from typing import NamedTuple

from repository import ROOT, definitions, files, module_name, parse

FACTS = ROOT / "docs" / "site" / "theory_facts.toml"
PAGE = ROOT / "docs" / "theory.md"
KINDS = r"(theorem|equation|lemma|remark|definition|proposition|algorithm|figure|table|appendix)s?"
NUMBER = r"\d+|[A-Z](?:\.\d+)?"
SOURCE = re.compile(r"^\s*Source: (.+?)(?=\n\s*\n|\Z)", re.S | re.M)
ANOTHER = re.compile(r"[A-Z]\w+.*\b(?:18|19|20)\d\d\b")
OWN = re.compile(r"\bpaper\b|Gonzalez et al\. 2025")
NEEDS_A_TEST = ("theorem", "equation", "lemma", "remark", "definition", "proposition", "algorithm", "figure", "table")


START = """# The theory, and where it is tested

Each numbered statement of [Gonzalez et al. 2025](tour.md#sources): what it says, the code that relies on it, and the
tests that fail if the code breaks it. Symbols: $T$ is the length, $s_t$ a state, $J_t$ the Jacobian of step $t$, $J$
that of the residual over the whole trajectory, $\\lambda$ the largest Lyapunov exponent per step, $\\mu$ the constant
of proposition 1, $\\rho$ the largest norm of a $J_t$, $L$ the Lipschitz constant of the $J_t$, and $e^{(i)}$ the
error after $i$ iterations. The two last statements are not of that publication.

The measured claims of each figure and table are in [paper.md](paper.md). This page is written by `make theory` from
`docs/site/theory_facts.toml` and the `Source:` lines of docstrings; a test fails where such a line names a statement
that has no test here.

"""
"""What stands above the statements."""


class Fact(NamedTuple):
    """What the paper states.

    Attributes:
        names: such as ``theorem 2``; the first one is its heading.
        title: in a few words.
        says: the statement, with formulas between dollars.
        code: paths of definitions beside those whose docstrings name it.
        tests: files, or files and functions, that fail where the code breaks it.
    """

    names: tuple[str, ...]
    title: str
    says: str
    code: tuple[str, ...]
    tests: tuple[str, ...]


def facts() -> list[Fact]:
    """All statements, in the order of the file."""
    rows = tomllib.loads(FACTS.read_text(encoding="utf-8"))["fact"]
    return [
        Fact(tuple(each["names"]), each["title"], each["says"], tuple(each.get("code", ())), tuple(each["tests"]))
        for each in rows
    ]


def named_in(source: str) -> set[str]:
    """Statements of the paper that the text of a ``Source:`` line names; those of other publications are left out."""
    found = set()
    for clause in re.split(r";", " ".join(source.split())):
        if ANOTHER.search(clause) and not OWN.search(clause):
            continue
        kind = None
        for word in clause.replace(",", " ").split():
            bare = word.rstrip(".:")
            if match := re.fullmatch(KINDS, bare, re.I):
                kind = match[1].lower()
            elif kind and re.fullmatch(NUMBER, bare):
                found.add(f"{kind} {bare}")
            elif word != "and":
                kind = None
    return found


def sources() -> dict[str, list[str]]:
    """Definitions, ``module:name``, by the statement that their docstrings name as a source."""
    found = defaultdict(list)
    for path in files("src", suffix=".py"):
        tree = parse(path)
        for label, node in [("", tree), *definitions(tree)]:
            text = ast.get_docstring(node) or ""
            for source in SOURCE.findall(text):
                for each in named_in(source):
                    found[each].append(f"{module_name(path)}:{label}".rstrip(":"))
    return dict(found)


def missing_tests(tests: tuple[str, ...]) -> list[str]:
    """Those of the tests that are not there."""
    found = []
    for each in tests:
        file, _, function = each.partition("::")
        path = ROOT / file
        if not path.exists() or (function and function not in dict(definitions(parse(path)))):
            found.append(each)
    return found


def untested(named: dict[str, list[str]], known: list[Fact]) -> list[str]:
    """Statements that docstrings name and that the map gives no test for."""
    covered = {name for fact in known if fact.tests for name in fact.names}
    return sorted(name for name in named if name.startswith(NEEDS_A_TEST) and name not in covered)


def _code(path: str) -> str:
    """A link to a definition."""
    module, _, label = path.partition(":")
    file = ROOT / "src" / module.replace(".", "/")
    file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
    shown = f"{module.removeprefix('parascan.')}.{label}" if label else module.removeprefix("parascan.")
    return f"[`{shown}`](../{file.relative_to(ROOT).as_posix()})"


def _test(path: str) -> str:
    """A link to a test."""
    file, _, function = path.partition("::")
    return f"[`{function or file}`](../{file})"


def _heading(names: tuple[str, ...]) -> str:
    """Names of statements as a heading has them: equations in a row are given by the first and the last."""
    numbers = [int(name.split()[1]) for name in names if name.startswith("equation")]
    others = [name for name in names if not name.startswith("equation")]
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        others.append(f"equations {numbers[0]} to {numbers[-1]}")
    elif numbers:
        others.append(("equation " if len(numbers) == 1 else "equations ") + " and ".join(map(str, numbers)))
    text = ", ".join(others)
    return text[0].upper() + text[1:]


def page() -> str:
    """The text of ``docs/theory.md``."""
    named, lines = sources(), []
    for fact in facts():
        code = dict.fromkeys([*fact.code, *(each for name in fact.names for each in named.get(name, []))])
        lines += [f"## {_heading(fact.names)}: {fact.title}", "", fact.says, ""]
        if code:
            lines += [f"- In the code: {', '.join(map(_code, code))}"]
        lines += [f"- Tests: {', '.join(map(_test, fact.tests))}", ""]
    return START + "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{len(facts())} statements in {PAGE.relative_to(ROOT)}\n")
