"""Steps whose parts can be replaced behind the back of whoever remembers them, and how each is replaced."""

import dataclasses
import functools
import types

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

OLD, NEW = 0.5, 0.1


class Plain:
    def __init__(self):
        self.weight = OLD

    def step(self, carry, x):
        return carry * self.weight + x, carry

    __call__ = step


@dataclasses.dataclass
class Data:
    weight: float = OLD
    step = Plain.step
    __call__ = Plain.step


class Slots:
    __slots__ = ("weight",)
    __init__ = Plain.__init__
    step = Plain.step


class Holder:
    def __init__(self):
        self.inner = [{"plain": Plain()}]

    def step(self, carry, x):
        return self.inner[0]["plain"](carry, x)

    __call__ = step

    @property
    def weight(self):
        return self.inner[0]["plain"].weight

    @weight.setter
    def weight(self, value):
        self.inner[0]["plain"].weight = value


class OfClass:
    weight = OLD

    def step(self, carry, x):
        return carry * self.weight + x, carry


class Module(eqx.Module):
    leaf: Plain
    array: jax.Array
    fixed: Plain = eqx.field(static=True)

    def __call__(self, carry, x):
        return carry * self.leaf.weight * self.fixed.weight * self.array + x, carry

    def step(self, carry, x):
        return self(carry, x)


def module():
    plain, one = Plain(), Plain()
    one.weight = 1.0
    return plain, Module(one, jnp.float32(1), plain), Module(plain, jnp.float32(1), one)


def replace(owner):
    return lambda: setattr(owner, "weight", NEW)


def closing_over(value, read):
    """A function that closes over a value, and is kept."""

    def step(carry, x):
        return carry * read(value) + x, carry

    return step


def of_methods():
    for make in (Plain, Data, Slots, Holder):
        owner = make()
        yield f"method of {make.__name__}", lambda owner=owner: owner.step, replace(owner)
        owner = make()
        yield f"kept method of {make.__name__}", lambda kept=owner.step: kept, replace(owner)
        owner = make()
        yield f"partial of a method of {make.__name__}", lambda o=owner: functools.partial(o.step), replace(owner)
    for make in (Plain, Data, Holder):
        owner = make()
        yield f"instance of {make.__name__}", lambda owner=owner: owner, replace(owner)
    for index, form in ((1, "static field"), (2, "leaf")):
        owner, *modules = module()
        yield f"module with an object as {form}", lambda m=modules[index - 1]: m, replace(owner)
        owner, *modules = module()
        yield f"method of a module, {form}", lambda m=modules[index - 1]: m.step, replace(owner)
    owner = type("Own", (OfClass,), {})
    yield "class attribute", lambda owner=owner: owner().step, replace(owner)


def rebinding(before, after, apply):
    """A step that closes over a variable, and what gives the variable another object of the same kind."""
    held = before

    def step(carry, x):
        return apply(held, carry) + x, carry

    def change():
        nonlocal held
        held = after

    return step, change


def of_closures():
    mapping, listed, owner, space = {"weight": OLD}, [OLD], Plain(), types.SimpleNamespace(weight=OLD)
    change = functools.partial(mapping.update, weight=NEW)
    yield "dict", closing_over(mapping, lambda m: m["weight"]), change
    yield "list", closing_over(listed, lambda m: m[0]), functools.partial(listed.__setitem__, 0, NEW)
    yield "object", closing_over(owner, lambda m: m.weight), replace(owner)
    yield "namespace", closing_over(space, lambda m: m.weight), replace(space)
    array = np.asarray([OLD])
    yield "numpy", closing_over(array, lambda m: m[0]), functools.partial(array.__setitem__, 0, NEW)
    nested = ({"a": [OLD]},)
    yield (
        "nested",
        closing_over(nested, lambda m: m[0]["a"][0]),
        lambda: nested[0]["a"].append(nested[0]["a"].pop() / 5),
    )
    partial = functools.partial(lambda m, c, x: (c * m["weight"] + x, c), other := {"weight": OLD})
    yield "partial", partial, functools.partial(other.update, weight=NEW)

    def default(carry, x, held={"weight": OLD}):  # noqa: B006  # the case itself
        return carry * held["weight"] + x, carry

    yield "default", default, functools.partial(default.__defaults__[0].update, weight=NEW)

    def attribute(carry, x):
        return carry * attribute.weight + x, carry

    attribute.weight = OLD
    yield "attribute of the function", attribute, replace(attribute)

    weight = OLD

    def cell(carry, x):
        return carry * weight + x, carry

    def rebind():
        nonlocal weight
        weight = NEW

    yield "rebound", cell, rebind
    yield "rebound array", *rebinding(jnp.asarray(OLD), jnp.asarray(NEW), lambda weight, carry: weight * carry)
    yield "rebound function", *rebinding(lambda s: OLD * s, lambda s: NEW * s, lambda function, carry: function(carry))
    inner = closing_over(deep := {"weight": OLD}, lambda m: m["weight"])
    yield "another function", (lambda c, x: inner(c, x)), functools.partial(deep.update, weight=NEW)
