"""Meshes, systems and comparisons for the tests on several devices."""

import re

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding

KINDS = {"automatic": AxisType.Auto, "explicit": AxisType.Explicit}


def mesh_of(kind, **axes):
    return jax.make_mesh(tuple(axes.values()), tuple(axes), axis_types=(KINDS[kind],) * len(axes))


def placed(mesh, array, *spec):
    return jax.device_put(array, NamedSharding(mesh, jax.P(*spec)))


def network(size=12, seed=0, gain=0.5):
    """Weights of a network that forgets its start, and a function that makes its step."""
    weights = jnp.asarray(np.random.default_rng(seed).normal(size=(size, size)) * gain / size**0.5, jnp.float32)

    def step_of(weights):
        def step(s, x):
            s = jnp.tanh(weights @ s + x)
            return s, 2 * s

        return step

    return weights, step_of


def series(*shape, seed=1):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def spec_of(array):
    """The axes over which an array is spread, without the empty ones at its end."""
    spec = list(array.sharding.spec)
    while spec and spec[-1] is None:
        spec.pop()
    return tuple(spec)


def equal(given, expected, atol=2e-6):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=atol), given, expected
    )


MOVING = re.compile(r"= \(?(\w+)\[([\d,]*)\]\S* (all-gather|all-to-all|all-reduce|collective-permute)\(")


def largest_message(function, *args):
    """Entries of the largest array that a compiled program moves between devices."""
    text = jax.jit(function).lower(*args).compile().as_text()
    sizes = [np.prod([int(each) for each in found[1].split(",") if each]) for found in MOVING.findall(text)]
    return max(sizes, default=0)
