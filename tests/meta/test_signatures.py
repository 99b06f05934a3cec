"""Everything in the package is documented, and documented arguments are the arguments."""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable

import equinox as eqx
import pytest
from repository import Function, definitions, files, offenders

import parascan as ps

SOURCES = files("src", suffix=".py")
ENTRY = re.compile(r"(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: [\[(].*?[\])])?:(?:\s|$)")
# Filled in by JAX or Python, never by a caller who reads the documentation.
BOUND = {"self", "cls"}


def documented(docstring: str, section: str) -> list[str] | None:
    """Names listed in a section of a Google-style docstring, None without that section."""
    lines = iter(inspect.cleandoc(docstring).splitlines())
    if not any(line == f"{section}:" for line in lines):
        return None
    names = []
    for line in lines:
        if line and not line.startswith(" "):
            break
        entry = ENTRY.match(line[4:]) if line[4:5].strip() else None
        if entry:
            names.extend(part.lstrip("*") for part in entry["names"].split(", "))
    return names


def parameters(function: Function) -> list[str]:
    """Names of a function's parameters in order."""
    given = function.args
    every = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
    return [argument.arg for argument in every if argument is not None and argument.arg not in BOUND]


def fields(node: ast.ClassDef) -> list[str]:
    """Names of a class's annotated fields."""
    annotated = [entry for entry in node.body if isinstance(entry, ast.AnnAssign)]
    return [entry.target.id for entry in annotated if "ClassVar" not in ast.unparse(entry.annotation)]


def constructor(node: ast.ClassDef) -> Function | None:
    """The class's own constructor."""
    return next((entry for entry in node.body if isinstance(entry, Function) and entry.name == "__init__"), None)


def missing_docstrings(tree: ast.Module) -> list[str]:
    """Qualified names of what has no docstring; magic methods are documented on their class."""
    found = [] if ast.get_docstring(tree) else ["the module"]
    for qualified, node in definitions(tree):
        magic = node.name.startswith("__") and node.name.endswith("__")
        overload = any("overload" in ast.unparse(decorator) for decorator in node.decorator_list)
        if not (ast.get_docstring(node) or magic or overload):
            found.append(qualified)
    return found


def mismatches(tree: ast.Module) -> list[str]:
    """Qualified names whose documented arguments are not their arguments in the same order."""
    found = []
    for qualified, node in definitions(tree):
        docstring = ast.get_docstring(node) or ""
        arguments, attributes = documented(docstring, "Args"), documented(docstring, "Attributes")
        if isinstance(node, ast.ClassDef):
            made_by = constructor(node)
            expected = parameters(made_by) if made_by else fields(node)
            inherits = made_by is None and any(
                ast.unparse(base) not in {"eqx.Module", "Protocol"} for base in node.bases
            )
            if attributes is not None and fields(node) and attributes != fields(node):
                found.append(f"{qualified}: attributes {attributes}, expected {fields(node)}")
            if inherits and arguments is not None:
                arguments = [argument for argument in arguments if argument in expected]
        else:
            expected = parameters(node)
        if arguments is not None and arguments != expected:
            found.append(f"{qualified}: documented {arguments}, expected {expected}")
    return found


def public() -> dict[str, type | Callable]:
    """Functions and classes of the public interface, and those that its public modules define."""
    modules = {"ps.": ps, **{f"ps.{label}.": getattr(ps, label) for label in PUBLIC_MODULES if hasattr(ps, label)}}
    return {
        prefix + label: value
        for prefix, module in modules.items()
        for label, value in vars(module).items()
        if not label.startswith("_")
        and callable(value)
        and getattr(value, "__module__", "").startswith(module.__name__)
    }


PUBLIC_MODULES = ("guesses", "nn", "systems")
PUBLIC = public()


def test_everything_has_a_docstring():
    assert offenders(missing_docstrings, SOURCES) == {}


def test_documented_arguments_are_the_arguments():
    assert offenders(mismatches, SOURCES) == {}


def test_public_names_document_their_arguments():
    assert {label for label, value in PUBLIC.items() if not documents_its_arguments(value)} == set()


def documents_its_arguments(value: type | Callable) -> bool:
    """Whether a public name has a docstring that lists its arguments, or none where there is nothing to list."""
    if isinstance(value, type) and (issubclass(value, eqx.Enumeration) or inspect.isabstract(value)):
        expected = []
    else:
        expected = [argument for argument in inspect.signature(value).parameters if argument not in BOUND]
    docstring = inspect.getdoc(value) or ""
    arguments = documented(docstring, "Args")
    record = isinstance(value, type) and documented(docstring, "Attributes") is not None
    return bool(docstring) and (arguments == expected or (arguments is None and (record or not expected)))


@pytest.mark.parametrize(
    "source",
    [
        'def f(a, b):\n    """F.\n\n    Args:\n        a: one.\n    """',
        'def f(a, b):\n    """F.\n\n    Args:\n        b: two.\n        a: one.\n    """',
        'def f(*, a=1):\n    """F.\n\n    Args:\n        a: one.\n        c [T, float]: three.\n    """',
        'class C(eqx.Module):\n    """C.\n\n    Args:\n        y: two.\n    """\n    x: int',
        'class C(eqx.Module):\n    """C.\n\n    Attributes:\n        x: one.\n    """\n    x: int\n    y: int',
        'class C:\n    """C.\n\n    Args:\n        y: two.\n    """\n    def __init__(self, x): ...',
        'class C:\n    """C."""\n    def f(self, x):\n        """F.\n\n        Args:\n            y: two.\n        """',
    ],
)
def test_a_planted_mismatch_is_seen(source):
    assert mismatches(ast.parse(source)) != []


def test_a_matching_docstring_passes():
    source = '''
        def f(step, *args, k=1, **rest):
            """F.

            Args:
                step [T D]: a function, which
                    note: goes on over lines.
                *args, k: two at once.
                **rest (dict): anything.

            Returns:
                Nothing.
            """
    '''
    assert mismatches(ast.parse(textwrap.dedent(source))) == []


@pytest.mark.parametrize(
    "source", ["x = 1", '"""M."""\ndef f(): ...', '"""M."""\nclass C:\n    """C."""\n    def _g(self): ...']
)
def test_a_missing_docstring_is_seen(source):
    assert missing_docstrings(ast.parse(source)) != []
