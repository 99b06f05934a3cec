"""What a command is run on: a registered system, or what a function of the user's returns."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import parascan as ps

from ..api.sweeping import first_steps
from ..mcmc.kernel import AbstractKernel
from ..mcmc.sample import checked_positions, noise_of
from ..samplers import Sampler
from ._settings import built, parsed

SEPARATOR = ":"
"""Separates a module from a function in it."""

DEFAULT_LENGTH = 10_000
"""Default number of steps where there are no inputs that give it."""

MOST_NAMED = 5
"""Most functions of a module that an error names."""


class Subject(NamedTuple):
    """What a command is run on.

    Attributes:
        name: what to call it.
        call: step, initial state, inputs, and length where there are no inputs.
        dt: time that one step stands for; None for systems without a unit of time.
        length: steps T.
        chain: kernel and position of a Markov chain; None for anything else.
    """

    name: str
    call: tuple[Any, Any, Any, int | None]
    dt: float | None
    length: int
    chain: tuple[AbstractKernel, Any] | None = None


def subject_of(text: str, length: int | None, settings: list[str], key: jax.Array) -> Subject:
    """The system, or what a function returns.

    Args:
        text: name of a system, or ``module:function``.
        length: T, None for the default or all inputs.
        settings: parameters of a system, or arguments of the function, as ``name=value``.
        key: of noise and random weights.

    Raises:
        TypeError: the name is not that of such a function.
        ValueError: an unknown name, or more steps than inputs.
    """
    if SEPARATOR not in text:
        refuse_module(text)
        steps = DEFAULT_LENGTH if length is None else length
        system = built(text, settings, key)
        call = (system.step, system.initial_state, system.inputs(steps, key=key), steps)
        return Subject(system.name, call, system.dt, steps)
    made = returned(text, function_of("SYSTEM", text), parsed(settings), pairs=True)
    if isinstance(made[0], AbstractKernel):
        return _chain(text, made[0], made[1], DEFAULT_LENGTH if length is None else length, key)
    if isinstance(made[0], Sampler):
        sampler, x = made[0], jnp.asarray(made[1])
        made = sampler, x, sampler.inputs(x, sampler.noise(key, x))
    step, init, xs = made
    xs, steps = first_steps(xs, length)
    rows = [leaf.shape[0] for leaf in jax.tree.leaves(xs) if getattr(leaf, "ndim", 0)]
    if rows:
        return Subject(text, (step, init, xs, None), None, rows[0])
    return Subject(text, (step, init, xs, steps or DEFAULT_LENGTH), None, steps or DEFAULT_LENGTH)


def _chain(text: str, kernel: AbstractKernel, position: Any, draws: int, key: jax.Array) -> Subject:
    """A Markov chain as a recurrence, its noise drawn beforehand."""
    position = checked_positions(position)
    noise = noise_of(kernel, key, position, jnp.zeros((), jnp.int32), draws)
    call = (lambda place, noise: kernel(place, noise)[0], position, noise, None)
    return Subject(text, call, None, draws, (kernel, position))


def refuse_module(text: str) -> None:
    """Refuse a module without a function in it, and say what the form is.

    Raises:
        ValueError: it is a module or the file of one.
    """
    name = text.removesuffix(".py").replace("/", ".")
    if _is_registered(text) or not _exists(name):
        return
    named = f"such as {name}{SEPARATOR}make" if text == name else f"not a file: {name}{SEPARATOR}make"
    raise ValueError(
        f"SYSTEM: given {text!r}, a module, expected module:function, {named}, with a function that returns "
        f"(step, init, xs).{_functions(name)}"
    )


def _is_registered(name: str) -> bool:
    """Whether a system has the name, which then means the system."""
    try:
        return bool(ps.systems.entry(name))
    except ValueError:
        return False


def _exists(name: str) -> bool:
    """Whether a module can be found, from the current folder as well."""
    _look_here()
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return False


def _functions(name: str) -> str:
    """The public functions that a module's file defines, which the user may have meant."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return ""
    lines = Path(spec.origin).read_text(encoding="utf-8").splitlines()
    found = [line[4:].partition("(")[0].strip() for line in lines if line.startswith("def ") and line[4] != "_"]
    return f" It defines {', '.join(found[:MOST_NAMED])}." if found else ""


def function_of(argument: str, text: str) -> Callable[..., Any]:
    """The function that ``module:function`` names.

    Args:
        argument: the argument of the command line, for errors.
        text: what was given.

    Raises:
        TypeError: it is no function.
        ValueError: there is no such module or function.
    """
    module, _, function = text.partition(SEPARATOR)
    _look_here()
    try:
        make = getattr(importlib.import_module(module), function)
    except (ModuleNotFoundError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{argument}: given {text!r}, expected module:function that can be imported; {error}."
        ) from error
    if not callable(make):
        raise TypeError(f"{argument}: given {text!r}, which is a {type(make).__name__}, expected a function.")
    return make


def returned(
    text: str, make: Callable[..., Any], arguments: Mapping[str, Any], *, pairs: bool = False
) -> tuple[Any, ...]:
    """What a function returns: step, initial state and inputs, or a kernel or a sampler with its start.

    Args:
        text: its name on the command line.
        make: the function.
        arguments: the function's arguments.
        pairs: whether a kernel or a sampler with its start is taken.

    Raises:
        TypeError: it takes no such arguments, or returns something else than a step, an initial state and inputs.
    """
    try:
        inspect.signature(make).bind(**arguments)
    except TypeError as error:
        given = ", ".join(arguments) or "none"
        raise TypeError(f"--set: given {given}, expected the arguments of {text}: {error}.") from error
    made = make(**arguments)
    if pairs and isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], AbstractKernel | Sampler):
        return made
    if not (isinstance(made, tuple) and len(made) == 3 and callable(made[0])):
        raise TypeError(f"SYSTEM: given {text!r}, which returns no tuple (step, init, xs), expected one.")
    return made


def _look_here() -> None:
    """Let Python find modules in the current folder."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
