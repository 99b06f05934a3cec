"""Functions that XLA calls for each entry gain nothing side by side, and are no reason to run chunks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from parascan.programs.built_in import here
from parascan.programs.cost import chunk_seconds, full_use, step_seconds
from parascan.programs.work import counted

T = 100_000


def weights(size):
    """Of a network that forgets."""
    return np.random.default_rng(0).normal(size=(size, size)).astype(np.float32) / 2 / size**0.5


def pendulum(s, x):
    """A driven pendulum with friction."""
    momentum = 0.9 * s[1] - 0.1 * jnp.sin(s[0]) + x
    return jnp.stack([0.95 * s[0] + 0.1 * momentum, momentum])


def oscillators(s, x):
    """Phases that pull at one another."""
    return 0.9 * s + 0.01 * jnp.sum(jnp.sin(s[:, None] - s[None]), axis=1) + x


def network(function):
    """A network with another function than tanh."""
    return lambda s, x: function(jnp.asarray(weights(s.size), s.dtype) @ s + x)


SLOWER_IN_CHUNKS = {
    "pendulum": (pendulum, 2, "float32"),
    "map of a circle": (lambda s, x: jnp.cos(0.5 * s + x), 1, "float32"),
    "eight cosines": (lambda s, x: 0.5 * jnp.cos(0.5 * s + x), 8, "float32"),
    "oscillators": (oscillators, 6, "float32"),
    "error function": (lambda s, x: 0.5 * jax.lax.erf(s + x), 2, "float64"),
    "network of sines": (network(jnp.sin), 32, "float32"),
    "network of sines, 16 units": (network(jnp.sin), 16, "float32"),
    "network of sines in double precision": (network(jnp.sin), 32, "float64"),
    "network of arc tangents": (network(jnp.arctan), 32, "float32"),
    "network of error functions": (network(jax.lax.erf), 32, "float64"),
    "particles": (lambda s, x: 0.8 * s + 0.01 * jnp.sum(jnp.exp(-((s[:, None] - s[None]) ** 2)), 1) + x, 12, "float32"),
}
"""Steps that took 1.1 to 2.2 times as long in chunks as in turn, and gradients of networks up to 2.4 times."""

FASTER_IN_CHUNKS = {
    "two hyperbolic tangents": (lambda s, x: 0.5 * jnp.tanh(s + x), 2, "float32"),
    "error function": (lambda s, x: 0.5 * jax.lax.erf(s + x), 2, "float32"),
    "network with one sine": (lambda s, x: jnp.tanh(weights(64) @ s + jnp.sin(x)), 64, "float32"),
    "network of exponentials": (network(lambda a: 0.5 * jnp.exp(-(a**2))), 16, "float32"),
    "softmax": (lambda s, x: jax.nn.softmax(weights(16) @ s + x), 16, "float32"),
}


def way(step, size, dtype):
    """How the default runs a step, and why."""
    with jax.enable_x64(dtype == "float64"):
        explained = ps.explain(lambda s, x: (step(s, x),) * 2, jnp.zeros(size, dtype), jnp.zeros(T, dtype))
    return explained.way, str(explained)


@pytest.mark.parametrize("name", SLOWER_IN_CHUNKS)
def test_steps_that_take_longer_in_chunks_are_left_alone(name):
    found, why = way(*SLOWER_IN_CHUNKS[name])
    assert found == "one step after the other", why


@pytest.mark.parametrize("name", FASTER_IN_CHUNKS)
def test_vector_code_and_products_are_a_reason_for_chunks(name):
    found, why = way(*FASTER_IN_CHUNKS[name])
    assert found == "chunks", why


def test_the_reason_names_the_functions_and_their_part_of_the_time():
    assert "entry by entry, as a sine is" in way(*SLOWER_IN_CHUNKS["network of sines"])[1]


@pytest.mark.parametrize("size", [4, 32])
def test_a_library_takes_the_same_time_for_each_entry_alone_and_side_by_side(size):
    machine = here("cpu")
    with_it, without = (
        counted(jax.make_jaxpr(network(function))(jnp.zeros(size), jnp.zeros(size)), size)
        for function in (jnp.sin, lambda a: a)
    )
    chunks = full_use(machine)
    for seconds in (step_seconds, lambda work, machine: chunk_seconds(work, machine, chunks)):
        assert seconds(with_it, machine) - seconds(without, machine) >= 0.99 * size * machine.called
