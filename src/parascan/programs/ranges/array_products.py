"""Products with an array, on arrays that may have an axis of the state behind their own."""

from typing import Any

import numpy as np


def product(dimensions: Any, left: np.ndarray, right: np.ndarray, extra: str) -> np.ndarray:
    """``dot_general`` of two arrays, of which one may have an axis of the state behind its own.

    Args:
        dimensions: the operation's ``dimension_numbers``.
        left: one operand.
        right: the other.
        extra: the operand with the further axis: "left", "right" or "".
    """
    (left_sum, right_sum), (left_batch, right_batch) = dimensions
    names = iter("abcdefghijklmnopqrstuvwxyz")
    of_left = [next(names) for _ in range(left.ndim - (extra == "left"))]
    of_right = [next(names) for _ in range(right.ndim - (extra == "right"))]
    for mine, theirs in zip((*left_sum, *left_batch), (*right_sum, *right_batch), strict=True):
        of_right[theirs] = of_left[mine]
    batch = [of_left[axis] for axis in left_batch]
    free_left = [name for axis, name in enumerate(of_left) if axis not in (*left_sum, *left_batch)]
    free_right = [name for axis, name in enumerate(of_right) if axis not in (*right_sum, *right_batch)]
    ends = {side: "Z" if side == extra else "" for side in ("left", "right")}
    operands = f"{''.join(of_left)}{ends['left']},{''.join(of_right)}{ends['right']}"
    result = "".join([*batch, *free_left, *free_right, "Z" if extra else ""])
    return np.einsum(f"{operands}->{result}", left, right, optimize=True)
