"""The signatures of everything public; as a program, it stores them in ``public_signatures.json``.

docs/stability.md says what is public. Solvers, linearizations, guesses and adjoints count with their constructors
alone: their methods are the contract for those who write one.
"""

import inspect
import json
import re
import types
from pathlib import Path
from typing import Any

import parascan as ps

STORED = Path(__file__).with_name("public_signatures.json")
CONTRACTS = ("parascan.solvers.", "parascan.adjoint.")
EXPORT = re.compile(r"^from \S+ import \w+ as (\w+)$", re.M)


def public_signatures() -> dict[str, str]:
    """Every public callable by its dotted name, with its arguments."""
    found: dict[str, str] = {}
    for name, value in _shown(ps):
        if isinstance(value, types.ModuleType):
            for inner, each in _shown(value):
                found |= _of(f"{name}.{inner}", each)
        else:
            found |= _of(name, value)
    return dict(sorted(found.items()))


def _shown(module: types.ModuleType) -> list[tuple[str, Any]]:
    """Public names of a module that it exports on purpose."""
    names = getattr(module, "__all__", None)
    if names is None:
        own = [name for name, each in vars(module).items() if getattr(each, "__module__", "") == module.__name__]
        names = EXPORT.findall(Path(str(module.__file__)).read_text(encoding="utf-8")) or own
    return [(name, getattr(module, name)) for name in names if not name.startswith("_")]


def _of(name: str, value: Any) -> dict[str, str]:
    """The signature of a callable; of a class those of its public methods too."""
    if not callable(value):
        return {}
    found = {name: _arguments(value)}
    if inspect.isclass(value):
        for method, each in inspect.getmembers(value, inspect.isroutine):
            home = next((base for base in value.__mro__ if method in vars(base)), object)
            for_callers = inspect.ismethod(each) or not home.__module__.startswith(CONTRACTS)
            if not method.startswith("_") and home.__module__.startswith("parascan") and for_callers:
                found[f"{name}.{method}"] = _arguments(each)
    return found


def _arguments(value: Any) -> str:
    """Names, kinds and defaults of arguments; their types may be said more exactly without breaking anybody."""
    try:
        signature = inspect.signature(value)
    except ValueError:
        return "(...)"
    bare = [_bare(each) for each in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def _bare(parameter: inspect.Parameter) -> inspect.Parameter:
    """An argument without its type; a function or class that is its default is written as its name."""
    name = getattr(parameter.default, "__name__", None)
    default = _Named(name) if name and parameter.default is not parameter.empty else parameter.default
    return parameter.replace(annotation=parameter.empty, default=default)


class _Named:
    """A default that is shown by its name.

    Args:
        name: of the function or class.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


def stored() -> dict[str, str]:
    """The signatures as they were last stored."""
    return json.loads(STORED.read_text(encoding="utf-8"))


def changes(before: dict[str, str], after: dict[str, str]) -> dict[str, str]:
    """What differs, by name; names that are new are no change of what was there."""
    gone = {name: f"{name} is gone" for name in before.keys() - after.keys()}
    changed = {name: f"{name}{before[name]} is {after[name]}" for name in before.keys() & after.keys()}
    return gone | {name: text for name, text in changed.items() if before[name] != after[name]}


if __name__ == "__main__":
    STORED.write_text(json.dumps(public_signatures(), indent=1) + "\n", encoding="utf-8")
