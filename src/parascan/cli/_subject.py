"""What a command looks into: a registered system, or what a function of the user's returns."""

import importlib
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax

from .single_run import build

SEPARATOR = ":"
"""Between a module and a function in it."""


class Subject(NamedTuple):
    """What is diagnosed.

    Attributes:
        name: what to call it.
        call: step, initial state, inputs and length.
        dt: time that one step stands for.
    """

    name: str
    call: tuple[Any, Any, Any, int | None]
    dt: float


def subject_of(text: str, length: int | None, settings: list[str], key: jax.Array) -> Subject:
    """The system, or what a function returns.

    Args:
        text: name of a system, or ``module:function``.
        length: T, None for the default or all inputs.
        settings: parameters of a system, as ``name=value``.
        key: of noise and random weights.

    Raises:
        TypeError: what is named is no such function.
        ValueError: an unknown name, or settings for a function.
    """
    if SEPARATOR in text:
        if settings:
            raise ValueError("--set: given for a function, expected only for a registered system.")
        step, init, xs = _returned(text)
        if xs is not None and length is not None:
            xs = jax.tree.map(lambda leaf: leaf[:length], xs)
        steps = length if xs is None else None
        return Subject(text, (step, init, xs, 10_000 if xs is None and steps is None else steps), 1.0)
    steps = 10_000 if length is None else length
    system = build(text, settings, key)
    return Subject(
        system.name, (system.step, system.initial_state, system.inputs(steps, key=key), steps), system.dt or 1.0
    )


def _returned(text: str) -> tuple[Any, Any, Any]:
    """What ``module:function`` returns.

    Raises:
        TypeError: it returns something else than a step, an initial state and inputs.
        ValueError: there is no such module or function.
    """
    module, _, function = text.partition(SEPARATOR)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        make = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"SYSTEM: given {text!r}, expected module:function that can be imported; {error}.") from error
    made = make()
    if not (isinstance(made, tuple) and len(made) == 3 and callable(made[0])):
        raise TypeError(f"SYSTEM: given {text!r}, which returns no tuple (step, init, xs), expected one.")
    return made
