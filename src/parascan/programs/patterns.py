"""Pseudorandom patterns that are the same every time, without a key or a state."""

from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Int, UInt32

Numbers: TypeAlias = Any
"""An array of NumPy or JAX."""


def mixed(place: Int[Numbers, "..."], index: Int[Numbers, "..."]) -> UInt32[Numbers, "..."]:
    """Eight pseudorandom bits for each pair of numbers.

    Of NumPy arrays it is computed at once, of JAX arrays as they are.

    Args:
        place: a number from zero on, such as that of an entry.
        index: another, of a shape that broadcasts with it.
    """
    bits = (place + 1).astype(np.uint32) * np.uint32(0x9E3779B1)
    bits = bits ^ ((index + 1).astype(np.uint32) * np.uint32(0x85EBCA77))
    bits = (bits ^ (bits >> 15)) * np.uint32(0x2C1B3C6D)
    bits = (bits ^ (bits >> 12)) * np.uint32(0x297A2D39)
    return bits >> 24
