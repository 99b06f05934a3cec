"""Settings of how a layer is run, which are no leaves of it, so that maps over weights leave them alone."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


class Settings:
    """Values that are a static part of a tree, compared by value even where they hold arrays.

    Arrays cannot be hashed, which static parts of compiled programs have to be; their shapes can.

    Args:
        **values: solver, criterion and adjoint of a layer.
    """

    def __init__(self, **values: Any) -> None:
        self.values = values
        self._leaves, self._form = jax.tree.flatten(values)

    def __hash__(self) -> int:
        return hash((self._form, tuple(_kind(leaf) for leaf in self._leaves)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Settings) or self._form != other._form:
            return False
        return all(_same(one, two) for one, two in zip(self._leaves, other._leaves, strict=True))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.values,)

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value}' for name, value in self.values.items() if value is not None)})"


def _restored(values: dict[str, Any]) -> Settings:
    """Settings restored from a pickle."""
    return Settings(**values)


def _kind(leaf: Any) -> Any:
    """The part of a leaf that can be hashed."""
    if isinstance(leaf, jax.Array | np.ndarray):
        return leaf.shape, str(leaf.dtype)
    return type(leaf)


def _same(one: Any, two: Any) -> bool:
    """Whether two leaves have the same value; traced ones have to be one object."""
    if one is two:
        return True
    if isinstance(one, Tracer) or isinstance(two, Tracer) or _kind(one) != _kind(two):
        return False
    if isinstance(one, jax.Array | np.ndarray):
        return bool(np.array_equal(_numbers(one), _numbers(two)))
    return bool(one == two)


def _numbers(leaf: Any) -> np.ndarray:
    """The numbers of an array, or those that a random key is made of."""
    return np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)
