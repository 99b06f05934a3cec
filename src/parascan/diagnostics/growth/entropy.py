"""The rate at which a chaotic system produces information: the sum of its positive exponents."""

import jax.numpy as jnp

from ..estimate import Estimate
from .exponents import ASSUMPTIONS, LEVEL, LyapunovEstimate


def pesin_sum(found: LyapunovEstimate) -> Estimate:
    """The sum of the positive exponents, which by Pesin's formula is the entropy rate, in nats per step.

    The ends of the interval are sums of the positive ends of the exponents' own intervals, so that it is wider than it
    need be. If even the last measured exponent may be positive, there may be more positive ones: then the value is a
    lower bound, and the interval has no upper end.

    Args:
        found: leading exponents, all of them or as many as reach below zero.

    Returns:
        The sum; divide by ``dt`` for nats per unit of time.

    Source: Pesin 1977; equality holds for measures that are smooth along unstable directions, else it is an upper
        bound of the entropy (Ruelle 1978).

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> from parascan.diagnostics import pesin_sum
        >>> rates = jnp.array([2.0, 1.5, 0.5])
        >>> found = ps.lyapunov_exponents(lambda s, x: rates * s, jnp.zeros(3), length=400, key=jax.random.key(0), k=3)
        >>> round(float(pesin_sum(found).value), 3)  # log 2 + log 1.5
        1.099
    """
    ends = (found.estimate.value, found.estimate.low, found.estimate.high)
    value, low, high = (jnp.sum(jnp.maximum(each, 0)) for each in ends)
    last = found.estimate.high.reshape(-1)[-1]
    measured = found.per_step.size
    open_end = (measured < found.size) & (last > 0)
    method = f"sum of the positive ones of {measured} exponents"
    return Estimate(value, low, jnp.where(open_end, jnp.inf, high), method, "1/step", LEVEL, ASSUMPTIONS)
