"""``Estimate``: a number with its interval, the method that found it, and what it rests on."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float


class Estimate(eqx.Module):
    """A measured or bounded quantity; never a bare number.

    Attributes:
        value: best value, a scalar or an array.
        low: lower end of the interval, of the shape of ``value``; ``-inf`` where nothing is known.
        high: upper end of the interval; ``inf`` where nothing is known.
        method: how it was found, in a few words.
        unit: its unit, such as ``"1/step"``; empty when dimensionless.
        level: probability that the interval is meant to hold with; 1 for a proven bound.
        assumptions: what has to be true for the interval to mean anything.
    """

    value: Float[Array, "*shape"]
    low: Float[Array, "*shape"]
    high: Float[Array, "*shape"]
    method: str = eqx.field(static=True)
    unit: str = eqx.field(static=True, default="")
    level: float = eqx.field(static=True, default=0.95)
    assumptions: tuple[str, ...] = eqx.field(static=True, default=())

    def to_dict(self) -> Mapping[str, Any]:
        """Plain numbers, lists and strings, for JSON."""
        numbers = {name: np.asarray(getattr(self, name), float).tolist() for name in ("value", "low", "high")}
        words = {"method": self.method, "unit": self.unit, "level": self.level, "assumptions": list(self.assumptions)}
        return numbers | words

    def __str__(self) -> str:
        value, low, high = (np.asarray(x, float) for x in (self.value, self.low, self.high))
        if value.ndim:
            return f"{value.size} values {self.unit} ({self.method})"
        unit = f" {self.unit}" if self.unit else ""
        return f"{value:.4g}{unit} [{low:.4g}, {high:.4g}] ({self.method})"


def unknown_where(condition: Bool[Array, ""], estimate: Estimate) -> Estimate:
    """The estimate, or NaN with an interval without ends where a condition says that it means nothing.

    Args:
        condition: whether the estimate means nothing.
        estimate: a scalar one.
    """
    ends = ((estimate.value, jnp.nan), (estimate.low, -jnp.inf), (estimate.high, jnp.inf))
    value, low, high = (jnp.where(condition, nothing, end) for end, nothing in ends)
    return Estimate(value, low, high, estimate.method, estimate.unit, estimate.level, estimate.assumptions)


def estimate_of(
    value: float, low: float, high: float, method: str, unit: str, level: float, assumptions: tuple[str, ...] = ()
) -> Estimate:
    """An estimate made of plain numbers.

    Args:
        value: best value.
        low: lower end of its interval.
        high: upper end.
        method: how it was found.
        unit: its unit.
        level: probability that the interval is meant to hold with.
        assumptions: what has to be true for it.
    """
    return Estimate(jnp.asarray(value), jnp.asarray(low), jnp.asarray(high), method, unit, level, assumptions)


def plain(value: Any) -> Any:
    """The value with None in place of every number that JSON does not have.

    Args:
        value: mappings, lists, tuples, numbers and words.
    """
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
