"""Operations that read and write entries by index, for many chunks: the chunks are one more axis, always used whole.

Their rules under ``jax.vmap`` put that axis first, or turn them into gathers and scatters of every chunk.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from .primitives import TAKES

INDEXED = {"dynamic_slice": 1, "gather": 1, "dynamic_update_slice": 2, "scatter": 1, "scatter-add": 1}
"""How many of the leading operands are arrays; all others but the updates of a scatter are indices."""


def applies(name: str, mapped: Sequence[bool]) -> bool:
    """Whether an operation is one of these, with indices that are the same in all chunks."""
    if name not in INDEXED:
        return False
    indices = mapped[1:2] if name.startswith("scatter") else mapped[INDEXED[name] :]
    return not any(indices)


def with_chunks(eqn: Any, values: Sequence[Any], chunks: int) -> tuple[dict[str, Any], list[Any]]:
    """Parameters and operands of the operation for all chunks at once.

    Args:
        eqn: the operation in one chunk.
        values: its operands, arrays already with chunks, indices as they are.
        chunks: how many.
    """
    name, params, values = eqn.primitive.name, dict(eqn.params), list(values)
    if name.startswith("dynamic"):
        values.append(jnp.zeros((), jnp.asarray(values[-1]).dtype))
    if name in TAKES:
        params["slice_sizes"] = (*params["slice_sizes"], chunks)
    if name == "gather":
        numbers, last = params["dimension_numbers"], eqn.outvars[0].aval.ndim
        params["dimension_numbers"] = numbers._replace(offset_dims=(*numbers.offset_dims, last))
    if name.startswith("scatter"):
        numbers, last = params["dimension_numbers"], eqn.invars[2].aval.ndim
        params["dimension_numbers"] = numbers._replace(update_window_dims=(*numbers.update_window_dims, last))
    return params, values


def is_array(name: str, place: int) -> bool:
    """Whether an operand is an array that takes chunks, not an index."""
    return place < INDEXED[name] or (name.startswith("scatter") and place == 2)
