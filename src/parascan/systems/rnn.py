"""The mean-field tanh network: predictable below a gain near 1.2, chaotic above it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..solution import State
from ._base import Facts, System, resolve_dtype, whole_number


class TanhStep(eqx.Module):
    """``s' = W tanh(s) + x``, multiplied in full precision on every platform."""

    weights: Float[Array, "D D"]

    def __call__(self, state: State, x: State) -> State:
        """The next state."""
        return jnp.matmul(self.weights, jnp.tanh(state), precision="highest") + x


class Sinusoids(eqx.Module):
    """Inputs ``a sin(w t + p)`` for t = 0, 1, ..., each unit with its own amplitude, frequency and phase."""

    amplitude: Float[Array, " D"]
    frequency: Float[Array, " D"]
    phase: Float[Array, " D"]

    def __call__(self, length: int, key: PRNGKeyArray | None, dtype: np.dtype) -> Float[Array, "T D"]:
        """The first ``length`` inputs; nothing is drawn."""
        times = jnp.arange(length, dtype=self.phase.dtype)[:, None]
        return (self.amplitude * jnp.sin(self.frequency * times + self.phase)).astype(dtype)


def tanh_rnn(*, gain: float | Array, size: int = 100, key: PRNGKeyArray, dtype: Any = None) -> System:
    """A random tanh network under mild sinusoidal inputs, whose gain alone decides whether it is predictable.

    ``s' = W tanh(s) + u_t`` with ``W_ij ~ N(0, gain^2 / D)``, ``W_ii = 0``, and per unit ``u_t = a sin(w t + p)`` with
    ``a ~ U[0, 0.2]``, ``w ~ U[0.5, 3]``, ``p ~ U[0, 2 pi]``; ``s_0 ~ U[-1, 1]``. Five keys are split off ``key`` in
    the order a, w, p, s_0, W, as in the runs behind figures 2 and 4: in float64 the same key gives their numbers, and
    their first guess is uniform on [-1, 1], drawn with the sixth key of ``jax.random.split(key, 7)``. A step costs
    D^2 multiplications.

    Args:
        gain: scale g of the weights, dimensionless; may be traced.
        size: number of units D.
        key: random key.
        dtype: floating dtype of weights, inputs and states, JAX's default when None.

    Returns:
        The system, with states [D].

    Raises:
        TypeError: ``size`` is not an integer, or ``dtype`` is not floating.
        ValueError: ``size`` is below one.

    Source:
        Gonzalez et al. (2025), appendix J.2; Engelken, Wolf and Abbott (2023) for the weights.

    Examples:
        >>> import jax
        >>> from parascan import systems
        >>> rnn = systems.tanh_rnn(gain=0.9, size=16, key=jax.random.key(0))
        >>> rnn.step(rnn.initial_state, rnn.inputs(1)[0]).shape
        (16,)
    """
    units, kind = whole_number("size", size, least=1), resolve_dtype(dtype)
    keys = jax.random.split(key, 5)

    def uniform(index: int, low: float, high: float) -> Float[Array, " D"]:
        return jax.random.uniform(keys[index], (units,), kind, low, high)

    normal = jax.random.normal(keys[4], (units, units), kind)
    weights = jnp.fill_diagonal(normal * jnp.asarray(gain, kind) / jnp.sqrt(jnp.asarray(units, kind)), 0, inplace=False)
    return System(
        step=TanhStep(weights),
        initial_state=uniform(3, -1.0, 1.0),
        drive=Sinusoids(uniform(0, 0.0, 0.2), uniform(1, 0.5, 3.0), uniform(2, 0.0, 2 * np.pi)),
        name="tanh_rnn",
        equations="s' = W tanh(s) + u_t, W_ij ~ N(0, gain^2 / D), W_ii = 0, u_t = a sin(w t + p)",
        source="Gonzalez et al. (2025), appendix J.2; Engelken, Wolf and Abbott (2023), Phys. Rev. Research 5, 043044",
        units="state: dimensionless current; one step is the unit of time",
        facts=Facts(
            remark="At D = 100 the largest exponent rises with the gain and crosses zero near 1.2 "
            "(Gonzalez et al. 2025, figure 4)."
        ),
    )
