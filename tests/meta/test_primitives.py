"""Names of primitives are in one table, whose categories all analyses take from there."""

import ast
import gc
import importlib

import jax
import pytest
from jax.extend.core import Primitive
from repository import PACKAGE, files, name, parse

import parascan  # noqa: F401  # its own primitives are among those that are looked for
from parascan.programs import primitives

TABLE = PACKAGE / "programs" / "primitives.py"
CATEGORIES = {key: value for key, value in vars(primitives).items() if isinstance(value, frozenset)}
NAMES = frozenset().union(*CATEGORIES.values())

# Names of primitives that are also ordinary words, and modules outside of ``programs/`` that use them as such.
WORDS = {"call", "copy", "log", "name", "pad", "round", "scan", "stack", "tan", "logistic"}


def strings(tree: ast.AST) -> set[str]:
    """All strings that are written in a program."""
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def lists(tree: ast.AST) -> list[set[str]]:
    """Strings of every set, list or tuple that holds names of primitives and no other strings."""
    found = [strings(node) for node in ast.walk(tree) if isinstance(node, ast.Set | ast.List | ast.Tuple)]
    return [each for each in found if len(each) > 1 and each <= NAMES]


def outside_of_programs(tree: ast.AST) -> set[str]:
    """Names of primitives in a module that is to know none."""
    return (strings(tree) & NAMES) - WORDS


def test_no_other_room_knows_the_name_of_a_primitive():
    modules = [path for path in files("src", suffix=".py") if path.is_relative_to(PACKAGE)]
    elsewhere = [path for path in modules if PACKAGE / "programs" not in path.parents]
    assert {name(path): found for path in elsewhere if (found := outside_of_programs(parse(path)))} == {}


def test_no_other_module_keeps_a_list_of_them():
    modules = [path for path in files("src", suffix=".py") if PACKAGE / "programs" in path.parents and path != TABLE]
    assert {name(path): found for path in modules if (found := lists(parse(path)))} == {}


def test_every_name_is_one_of_a_primitive():
    # What was there before the first test is kept from being looked through.
    gc.unfreeze()
    known = {each.name for each in gc.get_objects() if isinstance(each, Primitive)}
    gc.freeze()
    assert sorted(NAMES - known - primitives.OTHER_VERSIONS) == []


def test_names_of_other_versions_are_in_a_category():
    others = (value for key, value in CATEGORIES.items() if key != "OTHER_VERSIONS")
    assert frozenset().union(*others) >= primitives.OTHER_VERSIONS


def test_every_category_is_used():
    used = set()
    for path in files("src", suffix=".py"):
        tree = parse(path)
        used |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    assert sorted(CATEGORIES.keys() - used - {"OTHER_VERSIONS"}) == []


@pytest.mark.parametrize("rules", ["batching.MOVES", "indexing.INDEXED", "inside.INLINED", "error_free.RULES"])
def test_rules_are_for_primitives_of_the_table(rules):
    module, _, table = rules.partition(".")
    assert sorted(set(getattr(importlib.import_module(f"parascan.programs.{module}"), table)) - NAMES) == []


def test_every_kind_of_equation_of_a_program_has_a_category():
    def step(s, x):
        return jax.numpy.tanh(jax.numpy.where(s > 0, s @ s, x).sum()), s

    equations = jax.make_jaxpr(step)(jax.numpy.ones(3), 1.0).jaxpr.eqns
    assert {eqn.primitive.name for eqn in equations} <= NAMES


@pytest.mark.parametrize(
    ("source", "look"),
    [
        ('if eqn.primitive.name == "dot_general":\n    pass', outside_of_programs),
        ('KNOWN = {"add", "mul"}', lists),
        ('KNOWN = ("scan", "while")', lists),
    ],
)
def test_a_planted_name_is_seen(source, look):
    assert look(ast.parse(source))
