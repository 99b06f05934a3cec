"""What a proof of contraction says."""

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp


class ProvenContraction(eqx.Module):
    """Two runs of a system under the same inputs approach each other, wherever they start.

    After n steps no entry of their states differs by more than ``constant * rate**n``, for any two states that the
    system takes. It is a statement about every state, which no measurement can give: an exponent is no proof.

    Args:
        rate: bound on the growth of a distance in one step, in any norm; at least 0, below 1.
        constant: bound on the distance of two states, times what the change from that norm to entries costs.

    Raises:
        TypeError: an argument that is no number.
        ValueError: a number out of its range.

    Source: contraction in a metric, Lohmiller and Slotine 1998.

    Examples:
        >>> import parascan as ps
        >>> ps.diagnostics.ProvenContraction(rate=0.5, constant=2.0).steps(1e-3)
        11
    """

    rate: float = eqx.field(static=True)
    constant: float = eqx.field(static=True)

    def __init__(self, rate: float, constant: float) -> None:
        self.rate, self.constant = _number("rate", rate), _number("constant", constant)
        if not 0 <= self.rate < 1:
            raise ValueError(f"rate: given {rate}, expected a number of at least 0 and below 1.")
        if not 0 <= self.constant < math.inf:
            raise ValueError(f"constant: given {constant}, expected a finite number of at least 0.")

    def rounding(self, dtype: Any) -> float:
        """What rounding may add to the difference of two runs, roughly: a unit of it in every step, remembered.

        Args:
            dtype: of the states.
        """
        return self.constant * float(jnp.finfo(dtype).eps) / (1 - self.rate)

    def after(self, steps: int) -> float:
        """Largest difference of an entry after some steps.

        Args:
            steps: their number.
        """
        return self.constant * self.rate**steps

    def steps(self, tolerance: float) -> int:
        """The fewest steps after which no entry differs by more than a tolerance.

        Args:
            tolerance: above zero.
        """
        if self.constant <= tolerance:
            return 0
        if self.rate == 0:
            return 1
        found = max(1, math.ceil(math.log(tolerance / self.constant) / math.log(self.rate)))
        # The logarithms are rounded.
        return found if self.after(found) <= tolerance else found + 1


def _number(name: str, value: Any) -> float:
    """A real number."""
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: given {type(value).__name__}, expected a number that is known now.") from error
