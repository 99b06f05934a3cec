"""Settings ``NAME=VALUE`` of the command line, and systems that are built with them."""

import ast
from collections.abc import Sequence
from typing import Any

import jax

import parascan as ps


def built(name: str, settings: Sequence[str], key: jax.Array) -> ps.systems.System:
    """A system by name with settings ``name=value``, and with the key if it needs one.

    Raises:
        TypeError: a parameter is missing or unknown.
        ValueError: an unknown name, or a setting that is not ``name=value``.
    """
    return with_key(name, parsed(settings), key)


def with_key(name: str, parameters: dict[str, Any], key: jax.Array) -> ps.systems.System:
    """A system by name with its parameters, and with the key if it needs one.

    Args:
        name: of the system.
        parameters: by name.
        key: of noise and random weights.
    """
    if "key" in ps.systems.entry(name).required:
        parameters = {"key": key, **parameters}
    return ps.systems.get(name, **parameters)


def parsed(settings: Sequence[str]) -> dict[str, Any]:
    """Names and values of settings.

    Raises:
        ValueError: a setting is not ``name=value``.
    """
    return dict(map(_setting, settings))


def _setting(text: str) -> tuple[str, Any]:
    """A name and a Python literal."""
    name, _, value = text.partition("=")
    try:
        return name.strip(), ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        raise ValueError(f"--set: given {text!r}, expected NAME=VALUE with a number or a list of numbers.") from None
