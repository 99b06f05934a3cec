"""A griffe extension: constructors of equinox modules, which are dataclasses without a decorator to tell them by."""

from typing import Any

import griffe


def is_module(cls: griffe.Class) -> bool:
    """Whether a class derives from ``equinox.Module``, through classes of this package."""
    bases = [str(base).rsplit(".", 1)[-1] for base in cls.bases]
    return "Module" in bases or any(is_module(each) for each in parents(cls))


def parents(cls: griffe.Class) -> list[griffe.Class]:
    """Base classes that are defined in this package."""
    found = []
    for base in cls.resolved_bases:
        target = base.final_target if base.is_alias else base
        if isinstance(target, griffe.Class):
            found.append(target)
    return found


def parameters_of(cls: griffe.Class) -> dict[str, griffe.Parameter]:
    """Fields of a module that are parameters of its constructor, those of its base classes first."""
    found: dict[str, griffe.Parameter] = {}
    for parent in reversed(parents(cls)):
        found |= parameters_of(parent)
    for member in cls.members.values():
        if not isinstance(member, griffe.Attribute) or member.annotation is None:
            continue
        if "property" in member.labels:
            continue
        # Griffe takes ClassVar off the annotation, and labels a field with a value as both.
        if "class-attribute" in member.labels and "instance-attribute" not in member.labels:
            continue
        found[member.name] = griffe.Parameter(
            member.name,
            annotation=member.annotation,
            kind=griffe.ParameterKind.positional_or_keyword,
            default=default_of(member),
        )
    return found


def default_of(member: griffe.Attribute) -> Any:
    """The default of a field; None where it has none. That of ``eqx.field(...)`` is its argument ``default``."""
    value = member.value
    if not isinstance(value, griffe.ExprCall) or not str(value.function).endswith("field"):
        return value
    given = {each.name: each.value for each in value.arguments if isinstance(each, griffe.ExprKeyword)}
    if "default_factory" in given:
        return griffe.ExprCall(given["default_factory"], [])
    return given.get("default")


class ModuleConstructors(griffe.Extension):
    """Gives each equinox module the constructor that its fields make."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Called when all files of the package have been read."""
        pending: list[griffe.Module | griffe.Class] = [pkg]
        while pending:
            for member in pending.pop().members.values():
                if member.is_alias:
                    continue
                if isinstance(member, griffe.Module):
                    pending.append(member)
                elif isinstance(member, griffe.Class):
                    pending.append(member)
                    if "__init__" not in member.members and is_module(member):
                        self.add(member)

    def add(self, cls: griffe.Class) -> None:
        """Add the constructor of one class."""
        fields = parameters_of(cls)
        itself = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)
        init = griffe.Function("__init__", parameters=griffe.Parameters(itself, *fields.values()))
        cls.set_member("__init__", init)
