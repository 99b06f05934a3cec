"""JSON of one object, and the error for any other text."""

import json
from typing import Any

SHOWN = 40
"""Characters of a text that an error shows."""


def json_object(name: str, text: str, expected: str) -> dict[str, Any]:
    """The fields of an object in JSON.

    Args:
        name: of the argument, for the error.
        text: the JSON.
        expected: what it should be, for the error.

    Raises:
        ValueError: it is no JSON, or JSON of something else.
    """
    shown = repr(text[:SHOWN] + "..." if isinstance(text, str) and len(text) > SHOWN else text)
    try:
        fields = json.loads(text)
    except (TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{name}: given {shown}, which is no JSON, expected {expected}.") from error
    if not isinstance(fields, dict):
        raise ValueError(f"{name}: given {shown}, JSON without fields, expected {expected}.")
    return fields
