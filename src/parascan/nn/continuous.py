"""Cells that are discretized differential equations: long expressive memory, and liquid resistance-capacitance."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..problem.arguments import check_counts
from ._cell import AbstractUnitCell, draw_gates, times_input, times_state, uniform

Vector = Float[Array, " H"]


class LEMCell(AbstractUnitCell):
    """Long expressive memory: two coupled leaky vectors with learned time steps; its state is ``(y, z)``.

    ``a = dt sigmoid(W_1 y + V_1 x + b_1)``, ``b = dt sigmoid(W_2 y + V_2 x + b_2)``,
    ``z' = z + a (tanh(W_z y + V_z x + b_z) - z)``, ``y' = y + b (tanh(W_y z' + V_y x + b_y) - y)``.

    Args:
        input_size: I, entries of an input.
        hidden_size: H, entries of ``y`` and of ``z``.
        dt: largest time step, dimensionless.
        use_bias: whether there are ``b``.
        dtype: floating dtype of the weights; JAX's default when None.
        key: random key of the weights, uniform within ``1 / sqrt(H)``.

    Raises:
        TypeError: a size that is no integer, or a dtype that is not floating.
        ValueError: a size below one, or ``dt`` not positive.

    Source: Rusch et al. 2022.
    """

    weight_ih: Float[Array, "4*H I"]
    weight_hh: Float[Array, "4*H H"]
    bias: Float[Array, " 4*H"] | None
    input_size: int = eqx.field(static=True)
    hidden_size: int = eqx.field(static=True)
    dt: float = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        dt: float = 1.0,
        use_bias: bool = True,
        dtype: Any = None,
        key: PRNGKeyArray,
    ) -> None:
        _check_dt(dt)
        self.weight_ih, self.weight_hh, self.bias = draw_gates(4, input_size, hidden_size, use_bias, dtype, key)
        self.input_size, self.hidden_size, self.dt = input_size, hidden_size, dt

    def initial_state(self) -> tuple[Vector, Vector]:
        """Zeros for ``y`` and ``z``."""
        zeros = jnp.zeros((self.hidden_size,), self.weight_hh.dtype)
        return zeros, zeros

    def drive(self, x: Float[Array, " I"]) -> Float[Array, " 4*H"]:
        """``V x + b`` of all four parts."""
        return times_input(self.weight_ih, x, self.bias)

    def advance(
        self, drive: Float[Array, " 4*H"], state: tuple[Vector, Vector]
    ) -> tuple[tuple[Vector, Vector], Vector]:
        """``(y, z)`` after the step, and ``y``."""
        visible, memory = state
        drives = jnp.split(drive, 4)
        weights = self.hidden_size * 3
        first, second, third = jnp.split(times_state(self.weight_hh[:weights], visible), 3)
        memory = memory + self.dt * jax.nn.sigmoid(drives[0] + first) * (jnp.tanh(drives[2] + third) - memory)
        target = jnp.tanh(drives[3] + times_state(self.weight_hh[weights:], memory))
        visible = visible + self.dt * jax.nn.sigmoid(drives[1] + second) * (target - visible)
        return (visible, memory), visible


class LRCCell(AbstractUnitCell):
    """A liquid resistance-capacitance unit whose entries do not see one another: a diagonal Jacobian by construction.

    ``x' = x + dt sigmoid(e) (v tanh(q) - sigmoid(f) x)`` with, entry by entry,
    ``f = g + w sigmoid(s (x - m)) + (W u)``, ``q = g + k sigmoid(s (x - m)) + (K u)``, ``e = c x + d`` and
    ``u = sigmoid(S (input - M))``. ``deer()`` stores the diagonal only, so that a Newton step costs ``T H``; entries
    meet one another in the layers around this one.

    Args:
        input_size: I, entries of an input.
        hidden_size: H, entries of the state.
        dt: time step, dimensionless; at most one keeps the state bounded.
        dtype: floating dtype of the weights; JAX's default when None.
        key: random key of the weights, uniform within ``1 / sqrt(H)``.

    Raises:
        TypeError: a size that is no integer, or a dtype that is not floating.
        ValueError: a size below one, or ``dt`` not positive.

    Source: Farsang et al. 2025 (LrcSSM).

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> layer = ps.nn.Recurrent(ps.nn.LRCCell(2, 16, key=jax.random.key(0)), solver=ps.deer())
        >>> outputs, state = layer(jnp.ones((30, 2)))
        >>> outputs.shape
        (30, 16)
    """

    input_slope: Float[Array, " I"]
    input_shift: Float[Array, " I"]
    weight_ih: Float[Array, "2*H I"]
    slope: Vector
    shift: Vector
    weight_hh: Float[Array, "2 H"]
    leak: Vector
    potential: Vector
    elastance: Float[Array, "2 H"]
    input_size: int = eqx.field(static=True)
    hidden_size: int = eqx.field(static=True)
    dt: float = eqx.field(static=True)

    def __init__(
        self, input_size: int, hidden_size: int, *, dt: float = 1.0, dtype: Any = None, key: PRNGKeyArray
    ) -> None:
        _check_dt(dt)
        check_counts(input_size=input_size, hidden_size=hidden_size)
        keys = iter(jax.random.split(key, 9))

        def draw(*shape: int) -> Array:
            return uniform(next(keys), shape, hidden_size, dtype)

        self.input_slope, self.input_shift = draw(input_size), draw(input_size)
        self.weight_ih = draw(2 * hidden_size, input_size)
        self.slope, self.shift = draw(hidden_size), draw(hidden_size)
        self.weight_hh = draw(2, hidden_size)
        self.leak, self.potential = draw(hidden_size), draw(hidden_size)
        self.elastance = draw(2, hidden_size)
        self.input_size, self.hidden_size, self.dt = input_size, hidden_size, dt

    def initial_state(self) -> Vector:
        """Zeros."""
        return jnp.zeros((self.hidden_size,), self.leak.dtype)

    def drive(self, x: Float[Array, " I"]) -> Float[Array, " 2*H"]:
        """``g + W u`` and ``g + K u``."""
        synapses = jax.nn.sigmoid(self.input_slope * (x - self.input_shift))
        return times_input(self.weight_ih, synapses, jnp.concatenate([self.leak, self.leak]))

    def advance(self, drive: Float[Array, " 2*H"], state: Vector) -> tuple[Vector, Vector]:
        """The new state, twice."""
        of_conductance, of_potential = jnp.split(drive, 2)
        synapse = jax.nn.sigmoid(self.slope * (state - self.shift))
        conductance = jax.nn.sigmoid(of_conductance + self.weight_hh[0] * synapse)
        target = self.potential * jnp.tanh(of_potential + self.weight_hh[1] * synapse)
        pace = self.dt * jax.nn.sigmoid(self.elastance[0] * state + self.elastance[1])
        state = state + pace * (target - conductance * state)
        return state, state


def _check_dt(dt: float) -> None:
    """Refuse a time step that is not positive."""
    if not dt > 0:
        raise ValueError(f"dt: given {dt}, expected a positive number.")
