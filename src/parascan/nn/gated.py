"""Cells with one vector or a pair of vectors as state: Elman, minimal gated unit, GRU, LSTM."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ._cell import AbstractUnitCell, draw_gates, times_input, times_state, uniform

Vector = Float[Array, " H"]


class ElmanCell(AbstractUnitCell):
    """The plain network ``h' = tanh(W x + U h + b)``.

    Work ``2 H^2`` a step; its Jacobian is dense, ``diag(1 - h'^2) U``.

    Args:
        input_size: I, entries of an input.
        hidden_size: H, entries of the state.
        use_bias: whether there is a ``b``.
        activation: in place of ``tanh``.
        dtype: floating dtype of the weights; JAX's default when None.
        key: random key of the weights, uniform within ``1 / sqrt(H)``.

    Raises:
        TypeError: a size that is no integer, or a dtype that is not floating.
        ValueError: a size below one.

    Source: Elman 1990.
    """

    weight_ih: Float[Array, "H I"]
    weight_hh: Float[Array, "H H"]
    bias: Vector | None
    input_size: int = eqx.field(static=True)
    hidden_size: int = eqx.field(static=True)
    activation: Callable[[Array], Array] = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        use_bias: bool = True,
        activation: Callable[[Array], Array] = jnp.tanh,
        dtype: Any = None,
        key: PRNGKeyArray,
    ) -> None:
        self.weight_ih, self.weight_hh, self.bias = draw_gates(1, input_size, hidden_size, use_bias, dtype, key)
        self.input_size, self.hidden_size, self.activation = input_size, hidden_size, activation

    def initial_state(self) -> Vector:
        """Zeros."""
        return jnp.zeros((self.hidden_size,), self.weight_hh.dtype)

    def drive(self, x: Float[Array, " I"]) -> Float[Array, " H"]:
        """``W x + b``."""
        return times_input(self.weight_ih, x, self.bias)

    def advance(self, drive: Vector, state: Vector) -> tuple[Vector, Vector]:
        """The new state, twice."""
        state = self.activation(drive + times_state(self.weight_hh, state))
        return state, state


class GRUCell(AbstractUnitCell):
    """The gated recurrent unit, with weights laid out as in ``eqx.nn.GRUCell``.

    ``r = sigmoid(W_r x + U_r h + b_r)``, ``z = sigmoid(W_z x + U_z h + b_z)``,
    ``n = tanh(W_n x + b_n + r (U_n h + c))``, ``h' = n + z (h - n)``.

    Args:
        input_size: I, entries of an input.
        hidden_size: H, entries of the state.
        use_bias: whether there are ``b`` and ``c``.
        dtype: floating dtype of the weights; JAX's default when None.
        key: random key of the weights, uniform within ``1 / sqrt(H)``.

    Raises:
        TypeError: a size that is no integer, or a dtype that is not floating.
        ValueError: a size below one.

    Source: Cho et al. 2014, with the reset gate behind the product.
    """

    weight_ih: Float[Array, "3*H I"]
    weight_hh: Float[Array, "3*H H"]
    bias: Float[Array, " 3*H"] | None
    bias_n: Vector | None
    input_size: int = eqx.field(static=True)
    hidden_size: int = eqx.field(static=True)

    def __init__(
        self, input_size: int, hidden_size: int, *, use_bias: bool = True, dtype: Any = None, key: PRNGKeyArray
    ) -> None:
        first, second = jax.random.split(key)
        self.weight_ih, self.weight_hh, self.bias = draw_gates(3, input_size, hidden_size, use_bias, dtype, first)
        self.bias_n = uniform(second, (hidden_size,), hidden_size, dtype) if use_bias else None
        self.input_size, self.hidden_size = input_size, hidden_size

    def initial_state(self) -> Vector:
        """Zeros."""
        return jnp.zeros((self.hidden_size,), self.weight_hh.dtype)

    def drive(self, x: Float[Array, " I"]) -> Float[Array, " 3*H"]:
        """``W x + b`` of all three gates."""
        return times_input(self.weight_ih, x, self.bias)

    def advance(self, drive: Float[Array, " 3*H"], state: Vector) -> tuple[Vector, Vector]:
        """The new state, twice."""
        of_reset, of_update, of_new = jnp.split(drive, 3)
        reset, update, new = jnp.split(times_state(self.weight_hh, state), 3)
        if self.bias_n is not None:
            new = new + self.bias_n
        candidate = jnp.tanh(of_new + jax.nn.sigmoid(of_reset + reset) * new)
        state = candidate + jax.nn.sigmoid(of_update + update) * (state - candidate)
        return state, state


class MinimalGatedCell(AbstractUnitCell):
    """The minimal gated unit: one gate does the work of the GRU's two.

    ``f = sigmoid(W_f x + U_f h + b_f)``, ``n = tanh(W_n x + U_n (f h) + b_n)``, ``h' = h + f (n - h)``.

    Args:
        input_size: I, entries of an input.
        hidden_size: H, entries of the state.
        use_bias: whether there is a ``b``.
        dtype: floating dtype of the weights; JAX's default when None.
        key: random key of the weights, uniform within ``1 / sqrt(H)``.

    Raises:
        TypeError: a size that is no integer, or a dtype that is not floating.
        ValueError: a size below one.

    Source: Zhou et al. 2016.
    """

    weight_ih: Float[Array, "2*H I"]
    weight_hh: Float[Array, "2*H H"]
    bias: Float[Array, " 2*H"] | None
    input_size: int = eqx.field(static=True)
    hidden_size: int = eqx.field(static=True)

    def __init__(
        self, input_size: int, hidden_size: int, *, use_bias: bool = True, dtype: Any = None, key: PRNGKeyArray
    ) -> None:
        self.weight_ih, self.weight_hh, self.bias = draw_gates(2, input_size, hidden_size, use_bias, dtype, key)
        self.input_size, self.hidden_size = input_size, hidden_size

    def initial_state(self) -> Vector:
        """Zeros."""
        return jnp.zeros((self.hidden_size,), self.weight_hh.dtype)

    def drive(self, x: Float[Array, " I"]) -> Float[Array, " 2*H"]:
        """``W x + b`` of the gate and the candidate."""
        return times_input(self.weight_ih, x, self.bias)

    def advance(self, drive: Float[Array, " 2*H"], state: Vector) -> tuple[Vector, Vector]:
        """The new state, twice."""
        of_forget, of_new = jnp.split(drive, 2)
        of_gate, of_candidate = jnp.split(self.weight_hh, 2)
        forget = jax.nn.sigmoid(of_forget + times_state(of_gate, state))
        new = jnp.tanh(of_new + times_state(of_candidate, forget * state))
        state = state + forget * (new - state)
        return state, state


class LSTMCell(AbstractUnitCell):
    """The long short-term memory, with weights laid out as in ``eqx.nn.LSTMCell``; its state is ``(h, c)``.

    ``i, f, o = sigmoid(W x + U h + b)``, ``g = tanh(W_g x + U_g h + b_g)``, ``c' = f c + i g``, ``h' = o tanh(c')``.

    Args:
        input_size: I, entries of an input.
        hidden_size: H, entries of ``h`` and of ``c``.
        use_bias: whether there is a ``b``.
        dtype: floating dtype of the weights; JAX's default when None.
        key: random key of the weights, uniform within ``1 / sqrt(H)``.

    Raises:
        TypeError: a size that is no integer, or a dtype that is not floating.
        ValueError: a size below one.

    Source: Hochreiter and Schmidhuber 1997; Gers et al. 2000 for the forget gate.
    """

    weight_ih: Float[Array, "4*H I"]
    weight_hh: Float[Array, "4*H H"]
    bias: Float[Array, " 4*H"] | None
    input_size: int = eqx.field(static=True)
    hidden_size: int = eqx.field(static=True)

    def __init__(
        self, input_size: int, hidden_size: int, *, use_bias: bool = True, dtype: Any = None, key: PRNGKeyArray
    ) -> None:
        self.weight_ih, self.weight_hh, self.bias = draw_gates(4, input_size, hidden_size, use_bias, dtype, key)
        self.input_size, self.hidden_size = input_size, hidden_size

    def initial_state(self) -> tuple[Vector, Vector]:
        """Zeros for ``h`` and ``c``."""
        zeros = jnp.zeros((self.hidden_size,), self.weight_hh.dtype)
        return zeros, zeros

    def drive(self, x: Float[Array, " I"]) -> Float[Array, " 4*H"]:
        """``W x + b`` of all four gates."""
        return times_input(self.weight_ih, x, self.bias)

    def advance(
        self, drive: Float[Array, " 4*H"], state: tuple[Vector, Vector]
    ) -> tuple[tuple[Vector, Vector], Vector]:
        """``(h, c)`` after the step, and ``h``."""
        hidden, memory = state
        enter, forget, new, leave = jnp.split(drive + times_state(self.weight_hh, hidden), 4)
        memory = jax.nn.sigmoid(forget) * memory + jax.nn.sigmoid(enter) * jnp.tanh(new)
        hidden = jax.nn.sigmoid(leave) * jnp.tanh(memory)
        return (hidden, memory), hidden
