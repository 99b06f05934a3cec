"""Recurrent cells of recent years as steps: weights, initial state and inputs of each, in float64."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

SIZE, INPUTS, LENGTH = 4, 2, 24


class Cell(NamedTuple):
    """A cell as a recurrence.

    Attributes:
        step: ``(weights, state, x) -> state``.
        weights: to differentiate by.
        initial: the first state.
        inputs: of all steps.
    """

    step: Callable[[Any, Any, Any], Any]
    weights: Any
    initial: Any
    inputs: Any


def normal(key, *shape, scale=1.0):
    return scale * jax.random.normal(key, shape, jnp.float64) / shape[-1] ** 0.5


def inputs(key):
    return jax.random.normal(key, (LENGTH, INPUTS), jnp.float64)


def slstm(key):
    """sLSTM: exponential gates, in logarithms below a running maximum (Beck et al. 2024, eq. 8 to 17)."""
    first, second, data = jax.random.split(key, 3)
    weights = {"x": normal(first, 4, SIZE, INPUTS), "h": normal(second, 4, SIZE, SIZE, scale=0.4)}

    def step(weights, state, x):
        cell, norm, hidden, most = state
        z, log_input, forget, output = weights["x"] @ x + weights["h"] @ hidden
        log_forget = jax.nn.log_sigmoid(forget)
        higher = jnp.maximum(log_forget + most, log_input)
        kept, added = jnp.exp(log_forget + most - higher), jnp.exp(log_input - higher)
        cell, norm = kept * cell + added * jnp.tanh(z), kept * norm + added
        return cell, norm, jax.nn.sigmoid(output) * cell / norm, higher

    zero = jnp.zeros(SIZE)
    return Cell(step, weights, (zero, jnp.ones(SIZE), zero, zero), inputs(data))


def min_gru(key):
    """minGRU: a gate and a candidate of the input alone (Feng et al. 2024, section 3.1)."""
    first, data = jax.random.split(key)

    def step(weights, state, x):
        update = jax.nn.sigmoid(weights[0] @ x)
        return (1 - update) * state + update * (weights[1] @ x)

    return Cell(step, normal(first, 2, SIZE, INPUTS), jnp.zeros(SIZE), inputs(data))


def min_lstm(key):
    """minLSTM: two gates of the input, divided by their sum (Feng et al. 2024, section 3.2)."""
    first, data = jax.random.split(key)

    def step(weights, state, x):
        forget, new = jax.nn.sigmoid(weights[:2] @ x)
        return (forget * state + new * (weights[2] @ x)) / (forget + new)

    return Cell(step, normal(first, 3, SIZE, INPUTS), jnp.zeros(SIZE), inputs(data))


def lru(key):
    """LRU: complex numbers turned and shrunk, as pairs of real ones (Orvieto et al. 2023, section 3)."""
    first, second, third, data = jax.random.split(key, 4)
    weights = {
        "nu": jnp.log(jax.random.uniform(first, (SIZE,), jnp.float64, 0.2, 0.8)),
        "theta": jax.random.uniform(second, (SIZE,), jnp.float64, 0.0, 3.0),
        "x": normal(third, 2, SIZE, INPUTS),
    }

    def step(weights, state, x):
        radius = jnp.exp(-jnp.exp(weights["nu"]))
        cosine, sine = radius * jnp.cos(weights["theta"]), radius * jnp.sin(weights["theta"])
        real, imaginary = state
        fed = jnp.sqrt(1 - radius**2) * (weights["x"] @ x)
        return cosine * real - sine * imaginary + fed[0], sine * real + cosine * imaginary + fed[1]

    return Cell(step, weights, (jnp.zeros(SIZE), jnp.zeros(SIZE)), inputs(data))


def gated_delta(key):
    """Gated delta rule: a matrix that forgets, and replaces the value of a key (Yang et al. 2024, eq. 10)."""
    first, second, third, data = jax.random.split(key, 4)
    weights = {
        "key": normal(first, SIZE, INPUTS),
        "value": normal(second, SIZE + 1, INPUTS),
        "gates": normal(third, 2, INPUTS),
    }

    def step(weights, state, x):
        at = weights["key"] @ x
        at = at / jnp.sqrt(jnp.sum(at**2) + 1e-6)
        decay, strength = jax.nn.sigmoid(weights["gates"] @ x)
        found = state @ at
        return decay * (state - strength * jnp.outer(found, at)) + strength * jnp.outer(weights["value"] @ x, at)

    return Cell(step, weights, jnp.zeros((SIZE + 1, SIZE)), inputs(data))


def gated_delta_with_feedback(key):
    """The same rule whose key is made from what the matrix holds too, so that a step is not linear in it."""
    plain, extra = gated_delta(key), normal(jax.random.fold_in(key, 1), SIZE, SIZE + 1, scale=0.3)

    def step(weights, state, x):
        cell, feedback = weights
        read = jnp.tanh(state @ (cell["key"] @ x))
        at = cell["key"] @ x + feedback @ read
        at = at / jnp.sqrt(jnp.sum(at**2) + 1e-6)
        decay, strength = jax.nn.sigmoid(cell["gates"] @ x)
        return decay * (state - strength * jnp.outer(state @ at, at)) + strength * jnp.outer(cell["value"] @ x, at)

    return Cell(step, (plain.weights, extra), plain.initial, plain.inputs)


def cfc(key):
    """CfC: a gate that closes with the time since the last input (Hasani et al. 2022, eq. 10)."""
    first, second, data = jax.random.split(key, 3)
    weights = {"x": normal(first, 3, SIZE, INPUTS), "h": normal(second, 3, SIZE, SIZE, scale=0.6)}

    def step(weights, state, x):
        values, elapsed = x[:INPUTS], x[INPUTS]
        speed, early, late = jnp.tanh(weights["x"] @ values + weights["h"] @ state)
        gate = jax.nn.sigmoid(-(1 + speed) * elapsed)
        return gate * early + (1 - gate) * late

    times = jax.random.uniform(jax.random.fold_in(data, 1), (LENGTH,), jnp.float64, 0.1, 2.0)
    return Cell(step, weights, jnp.zeros(SIZE), jnp.column_stack([inputs(data), times]))


CELLS = {
    "slstm": slstm,
    "min_gru": min_gru,
    "min_lstm": min_lstm,
    "lru": lru,
    "gated_delta": gated_delta,
    "gated_delta_with_feedback": gated_delta_with_feedback,
    "cfc": cfc,
}
"""Cells that every solver must evaluate and differentiate."""
