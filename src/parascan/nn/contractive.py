"""A cell that forgets by construction: its largest exponent is negative for every value of its weights."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..diagnostics import ProvenContraction
from ..problem.arguments import check_counts
from ._cell import AbstractUnitCell, resolve_dtype, times_input, times_state, uniform
from ._spectral import norm_bound, within
from .metrics import AbstractMetric, DiagonalMetric
from .weights import AbstractWeight, ScaledWeight

BOUNDED = (jnp.tanh, jax.nn.tanh, jax.nn.sigmoid, jnp.sin, jnp.cos, jax.nn.soft_sign, jax.nn.hard_tanh)
"""Activations whose values differ by 2 at most."""

Vector = Float[Array, " H"]


class LearnedRate(eqx.Module):
    """A rate that is trained with the weights and stays below a bound: ``at_most sigmoid(r)``.

    Args:
        start: the rate before training, between 0 and ``at_most``.
        at_most: bound on the rate, below one.
        dtype: floating dtype; JAX's default when None.

    Raises:
        ValueError: a number out of range.
    """

    raw: Float[Array, ""]
    at_most: float = eqx.field(static=True)

    def __init__(self, start: float = 0.9, at_most: float = 0.99, *, dtype: Any = None) -> None:
        if not 0 < at_most < 1:
            raise ValueError(f"at_most: given {at_most}, expected a number between 0 and 1.")
        if not 0 < start < at_most:
            raise ValueError(f"start: given {start}, expected a number between 0 and at_most={at_most}.")
        self.raw, self.at_most = jnp.asarray(np.log(start / (at_most - start)), dtype or float), at_most

    def value(self) -> Float[Array, ""]:
        """The rate."""
        return self.at_most * jax.nn.sigmoid(self.raw)


class FixedRate(eqx.Module):
    """A rate that stays as it is; not a leaf, so that no map over a model's numbers changes it.

    Args:
        constant: the rate.
    """

    constant: float = eqx.field(static=True)

    def value(self) -> float:
        """The rate."""
        return self.constant


class _MakesParts(Protocol):
    """The class of a weight or a metric."""

    def __call__(self, size: int, *, dtype: Any, key: PRNGKeyArray) -> Any: ...


class ContractiveCell(AbstractUnitCell):
    """A plain network ``h' = tanh(K h + W x + b)`` in which two states approach each other by a rate in every step.

    ``K`` has norm ``rate`` at most for every value of its parameters, and ``tanh`` has slopes of one at most, so the
    norm of every Jacobian is at most the rate and the largest exponent at most ``log(rate)``: training can never make
    the cell unpredictable. In a metric P the same holds for ``||P (h - h')||``, and plain distances may grow by the
    condition number of P before they fall. A state is forgotten to one part in 10^6 within
    ``14 / -log(rate)`` steps; choose the rate by how long the cell has to remember.

    Args:
        input_size: I, entries of an input.
        hidden_size: H, entries of the state.
        rate: bound on the growth of a difference in one step, between 0 and 1, or a ``LearnedRate``; each layer of a
            stack may have its own.
        weight: how K is parameterized: the class ``ScaledWeight``, ``OrthogonalDiagonalWeight``, ``CayleyWeight``,
            ``BjorckWeight`` or ``DiagonalWeight``.
        metric: the class ``DiagonalMetric`` or ``FullMetric``; None for plain distances.
        activation: a function with slopes between -1 and 1, entry by entry.
        dtype: floating dtype of the weights; JAX's default when None.
        key: random key of the weights.

    Raises:
        TypeError: a size that is no integer, a rate that is neither a number nor a ``LearnedRate``, or a ``weight`` or
            ``metric`` that is not the class of one.
        ValueError: a size below one, a rate outside (0, 1), an activation with a slope beyond one, or a ``weight`` or
            ``metric`` of another size.

    Source: appendix I of the paper; Miller and Hardt 2019.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> cell = ps.nn.ContractiveCell(3, 16, rate=0.8, metric=ps.nn.DiagonalMetric, key=jax.random.key(0))
        >>> outputs, state = ps.nn.Recurrent(cell, solver=ps.deer())(jnp.ones((100, 3)))
        >>> step = lambda h, x: cell(x, h)
        >>> found = ps.lyapunov_exponents(step, state, jnp.ones((200, 3)), key=jax.random.key(1), warm_up=100)
        >>> float(found.per_step) <= float(jnp.log(0.8))
        True
    """

    weight_ih: Float[Array, "H I"]
    bias: Vector
    weight: AbstractWeight
    metric: AbstractMetric | None
    rate: FixedRate | LearnedRate
    input_size: int = eqx.field(static=True)
    hidden_size: int = eqx.field(static=True)
    activation: Callable[[Array], Array] = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rate: float | LearnedRate = 0.9,
        weight: _MakesParts = ScaledWeight,
        metric: _MakesParts | None = None,
        activation: Callable[[Array], Array] = jnp.tanh,
        dtype: Any = None,
        key: PRNGKeyArray,
    ) -> None:
        check_counts(input_size=input_size, hidden_size=hidden_size)
        self.rate = _as_rate(rate)
        _check_slopes(activation)
        keys = jax.random.split(key, 4)
        self.weight_ih = uniform(keys[0], (hidden_size, input_size), hidden_size, dtype)
        self.bias = uniform(keys[1], (hidden_size,), hidden_size, dtype)
        self.weight = _made("weight", weight, AbstractWeight, hidden_size, dtype, keys[2])
        self.metric = None
        if metric is not None:
            self.metric = _made("metric", metric, AbstractMetric, hidden_size, dtype, keys[3])
        self.activation = activation
        self.input_size, self.hidden_size = input_size, hidden_size

    def rate_value(self) -> Float[Array, ""]:
        """The rate, fixed or learned."""
        return jnp.asarray(self.rate.value(), self.bias.dtype)

    def contraction(self) -> ProvenContraction:
        """What the parameterization proves, for every value of the weights; for ``ps.final_carry``.

        A ``LearnedRate`` counts with the rate that it cannot exceed.

        Raises:
            ValueError: the activation is not known to be bounded.
        """
        if self.activation not in BOUNDED:
            expected = f"expected one of {', '.join(each.__name__ for each in BOUNDED)}, whose values have a bound"
            raise ValueError(f"activation: given {self.activation!r}, {expected}.")
        rate = self.rate.at_most if isinstance(self.rate, LearnedRate) else self.rate.constant
        condition = 1.0 if self.metric is None else self.metric.condition
        # Two values of the activation differ by 2 at most in each entry, and a little more covers the rounding of the
        # matrices; a metric costs its condition number.
        return ProvenContraction(rate, 2.1 * np.sqrt(self.hidden_size) * condition)

    def initial_state(self) -> Vector:
        """Zeros."""
        return jnp.zeros((self.hidden_size,), self.bias.dtype)

    def ready(self) -> "_Ready":
        """The cell with its matrices formed."""
        rate = self.rate_value()
        inner = self.weight.bounded(rate)
        if self.metric is None or (isinstance(self.metric, DiagonalMetric) and inner.ndim == 1):
            return self._with(inner, None)
        if isinstance(self.metric, DiagonalMetric):
            scales = self.metric.scales()
            return self._with(inner * scales / scales[:, None], None)
        factor, inverse = self.metric.factor(), self.metric.inverse()
        inner = jnp.diag(inner) if inner.ndim == 1 else inner
        # P P^-1 is the identity up to rounding only, and that enters every step.
        inner = within(inner, rate / jnp.maximum(norm_bound(jnp.matmul(factor, inverse, precision="highest")), 1))
        return self._with(jnp.matmul(inner, factor, precision="highest"), inverse)

    def _with(self, inner: Float[Array, "H *H"], outer: Float[Array, "H H"] | None) -> "_Ready":
        """The cell with these matrices."""
        return _Ready(input_size=self.input_size, hidden_size=self.hidden_size, cell=self, inner=inner, outer=outer)

    def drive(self, x: Float[Array, " I"]) -> Float[Array, " H"]:
        """``W x + b``."""
        return times_input(self.weight_ih, x, self.bias)

    def advance(self, drive: Vector, state: Vector) -> tuple[Vector, Vector]:
        """The new state, twice; forms the matrices anew, which a layer does once for all steps."""
        return self.ready().advance(drive, state)


class _Ready(AbstractUnitCell):
    """A contractive cell whose matrices have been formed."""

    cell: ContractiveCell
    inner: Float[Array, "H *H"]
    outer: Float[Array, "H H"] | None
    input_size: int = eqx.field(static=True)
    hidden_size: int = eqx.field(static=True)

    def initial_state(self) -> Vector:
        """Zeros."""
        return self.cell.initial_state()

    def drive(self, x: Float[Array, " I"]) -> Vector:
        """``W x + b``."""
        return self.cell.drive(x)

    def advance(self, drive: Vector, state: Vector) -> tuple[Vector, Vector]:
        """The new state, twice."""
        product = self.inner * state if self.inner.ndim == 1 else times_state(self.inner, state)
        state = self.cell.activation(product + drive)
        if self.outer is not None:
            state = times_state(self.outer, state)
        return state, state


Part = TypeVar("Part", AbstractWeight, AbstractMetric)


def _made(name: str, make: Any, kind: type[Part], size: int, dtype: Any, key: PRNGKeyArray) -> Part:
    """A weight or metric made by its class, if it is one and of the right size."""
    example = "ps.nn.ScaledWeight" if kind is AbstractWeight else "ps.nn.DiagonalMetric"
    expected = f"expected a class such as {example}, or functools.partial of one"
    if isinstance(make, AbstractWeight | AbstractMetric) or not callable(make):
        raise TypeError(f"{name}: given {type(make).__name__}, which is no class, {expected}.")
    label = getattr(make, "__name__", type(make).__name__)
    try:
        made = make(size, dtype=dtype, key=key)
    except TypeError as error:
        raise TypeError(f"{name}: given {label}, which cannot be called so ({error}), {expected}.") from error
    if not isinstance(made, kind):
        raise TypeError(f"{name}: given {label}, which makes a {type(made).__name__}, {expected}.")
    matrix = made.bounded if isinstance(made, AbstractWeight) else lambda _: made.factor()
    shape = jax.eval_shape(matrix, jax.ShapeDtypeStruct((), resolve_dtype(dtype))).shape
    if shape not in ((size,), (size, size)):
        raise ValueError(f"{name}: given {label}, which makes one of shape {shape}, expected {(size, size)}.")
    return made


def _as_rate(rate: Any) -> FixedRate | LearnedRate:
    """The rate as a module."""
    if isinstance(rate, LearnedRate):
        return rate
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        raise TypeError(f"rate: given {type(rate).__name__}, expected a number between 0 and 1 or a LearnedRate.")
    if not 0 < rate < 1:
        raise ValueError(f"rate: given {rate}, expected a number between 0 and 1.")
    return FixedRate(float(rate))


def _check_slopes(activation: Callable[[Array], Array]) -> None:
    """Refuse an activation that stretches somewhere between -20 and 20."""
    points = np.linspace(-20, 20, 4001, dtype=np.float32)
    with jax.ensure_compile_time_eval():
        values = np.asarray(activation(jnp.asarray(points)), np.float64)
    steepest = np.max(np.abs(np.diff(values) / np.diff(points.astype(np.float64))))
    if not steepest < 1.001:
        raise ValueError(f"activation: given one with a slope of {steepest:.3g}, expected slopes between -1 and 1.")
