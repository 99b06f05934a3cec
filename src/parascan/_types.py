"""Names for the arrays and callables that cross module borders (shapes in jaxtyping form)."""

from collections.abc import Callable
from typing import Any, TypeAlias

from jaxtyping import Array, Float, PyTree

State: TypeAlias = Float[Array, " D"]
"""One state as a flat real vector."""

Trajectory: TypeAlias = Float[Array, "T D"]
"""Row k holds the state after step k + 1; the initial state is not a row."""

StepFunction: TypeAlias = Callable[[Any, Any], Any]
"""``(state, x) -> state`` or, as in ``jax.lax.scan``, ``(carry, x) -> (carry, y)``."""

Tree: TypeAlias = PyTree[Any]
