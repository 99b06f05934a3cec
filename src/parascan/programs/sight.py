"""Everything that a step's program depends on, collected so that a later step can be compared with it.

Of a function this is what it closes over, its defaults and the globals that it reads; of a container its entries; of an
equinox module its fields. Objects that may change without notice (instances of plain classes, bound methods) cannot be
compared: a step that uses them has to be traced again at every call, as ``jax.lax.scan`` does.
"""

import collections
import dataclasses
import dis
import enum
import functools
import hashlib
import inspect
import types
import weakref
from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

NUMBERS = (type(None), bool, int, float, complex, str, bytes, type(...), np.dtype, np.generic)
CONTAINERS = (tuple, list, dict, set, frozenset, collections.OrderedDict, collections.defaultdict)
FIXED = (jax.sharding.Mesh, jax.sharding.Sharding, jax.sharding.PartitionSpec, jax.Device, np.ufunc)
PURE = (type, types.ModuleType, enum.Enum, jnp.ufunc, jax.custom_jvp, jax.custom_vjp, type(jax.jit(lambda: None)))
"""Types whose instances are compared by identity alone; a compiled function is constant by its own contract."""


class UnseenError(Exception):
    """A step uses something that cannot be compared."""


class Sight(NamedTuple):
    """What a step depends on.

    Attributes:
        owner: the object with whose end the compiled programs go.
        values: values that have to be equal for another step to count as the same.
        objects: objects that have to be identical for that.
    """

    owner: Any
    values: Hashable
    objects: list[Any]


def sight_of(step: Any) -> Sight:
    """All that a step depends on, except the arrays that are its leaves.

    Args:
        step: anything that can be called.

    Raises:
        UnseenError: the step depends on something that cannot be compared.
    """
    look = _Look(step)
    look.at(step, leaf=True)
    functions = [each for each in look.objects if isinstance(each, types.FunctionType)]
    fresh = [each for each in functions if "<" in each.__qualname__]
    owner = step if isinstance(step, PURE) else next(iter(fresh or functions), type(step))
    return Sight(owner, tuple(look.values), look.objects)


def remembered(objects: list[Any]) -> list[Any]:
    """References to objects that do not keep them alive, for ``are_still``."""
    return [weakref.ref(each) for each in objects]


def are_still(references: list[Any], objects: list[Any]) -> bool:
    """Whether these are the objects that were remembered."""
    pairs = zip(references, objects, strict=False)
    return len(references) == len(objects) and all(reference() is each for reference, each in pairs)


class _Unset:
    """Stands for a cell or global without a value."""


class _Look:
    """One pass over a step that records what it depends on."""

    def __init__(self, step: Any) -> None:
        self.values: list[Hashable] = []
        self.objects: list[Any] = []
        function = step.func if isinstance(step, functools.partial | eqx.Partial) else step
        self._home = getattr(inspect.unwrap(function), "__globals__", None)
        # The things themselves as well: the address of one that is gone would soon be another's.
        self._visited: dict[int, tuple[int, Any]] = {}

    def at(self, thing: Any, *, leaf: bool = False) -> None:
        """Record a thing.

        Args:
            thing: anything that a step uses.
            leaf: whether arrays in it are leaves of the step, which are arguments of its program.
        """
        if isinstance(thing, NUMBERS):
            self.values.append((type(thing), repr(thing)))
        elif isinstance(thing, FIXED):
            self.values.append(thing)
        elif isinstance(thing, jax.Array):
            self.values.append("array")
            if not leaf:
                self._is(thing)
        elif isinstance(thing, np.ndarray) and not thing.dtype.hasobject:
            self.values.append((thing.dtype.str, thing.shape, hashlib.blake2b(thing.tobytes()).digest()))
        elif isinstance(thing, PURE) or _is_builtin(thing):
            self._is(thing)
        elif id(thing) in self._visited and not leaf:
            self.values.append(("again", self._visited[id(thing)][0]))
        else:
            self._visited[id(thing)] = len(self._visited), thing
            self._into(thing, leaf)

    def _into(self, thing: Any, leaf: bool) -> None:
        """Record a thing that has parts."""
        if isinstance(thing, types.FunctionType):
            self._is(thing)
            for part in self._parts_of_function(thing):
                self.at(part)
            return
        self._is(type(thing))
        for part, leaves in self._parts(thing):
            self.at(part, leaf=leaf and leaves)

    def _is(self, thing: Any) -> None:
        """Record an object by its identity."""
        try:
            weakref.ref(thing)
        except TypeError:
            raise UnseenError from None
        self.values.append("object")
        self.objects.append(thing)

    def _parts(self, thing: Any) -> Iterator[tuple[Any, bool]]:
        """Parts of a thing, and whether JAX sees those as well."""
        if isinstance(thing, eqx.Module):
            for field in dataclasses.fields(thing):
                yield getattr(thing, field.name, _Unset), not field.metadata.get("static", False)
        elif type(thing) in CONTAINERS or (isinstance(thing, tuple) and hasattr(thing, "_fields")):
            yield len(thing), False
            for key in thing if isinstance(thing, dict) else ():
                yield key, False
            for part in thing.values() if isinstance(thing, dict) else thing:
                yield part, not isinstance(thing, set | frozenset)
        elif isinstance(thing, functools.partial):
            for part in (thing.func, thing.args, thing.keywords):
                yield part, False
        elif (level := jax.tree_util.default_registry.flatten_one_level(thing)) is not None:
            children, rest = level
            yield rest, False
            for part in children:
                yield part, True
        elif dataclasses.is_dataclass(thing) and _is_frozen(type(thing)):
            for field in dataclasses.fields(thing):
                yield getattr(thing, field.name, _Unset), False
        else:
            raise UnseenError

    def _parts_of_function(self, function: types.FunctionType) -> Iterator[Any]:
        """Everything that a function's result may depend on; globals only of the module that the step is in."""
        for cell in function.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:
                yield _Unset
        yield from (function.__defaults__, function.__kwdefaults__, function.__dict__)
        if function.__globals__ is self._home:
            for name in _globals_read(function.__code__):
                yield function.__globals__.get(name, _Unset)


def _is_frozen(kind: type) -> bool:
    """Whether a dataclass declares that its instances do not change."""
    return getattr(getattr(kind, "__dataclass_params__", None), "frozen", False)


def _is_builtin(thing: Any) -> bool:
    """Whether a thing is a function of an extension module, and not a method of some object."""
    return isinstance(thing, types.BuiltinFunctionType) and isinstance(thing.__self__, types.ModuleType)


@functools.lru_cache(maxsize=4096)
def _globals_read(code: types.CodeType) -> tuple[str, ...]:
    """Names of the globals that a function reads, and the functions in it."""
    names = {each.argval for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            names.update(_globals_read(part))
    return tuple(sorted(names))
