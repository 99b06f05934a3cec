"""What the first call of a step costs: how often it is traced, and how large the program is that is compiled."""

import logging

import jax
import jax.numpy as jnp
import numpy as np

import parascan as ps

XS = jnp.asarray(np.random.default_rng(0).normal(size=(20000, 9)), jnp.float32)
WEIGHTS = jnp.asarray(np.random.default_rng(1).normal(size=(64, 73)) / 10, jnp.float32)
MOST_OPERATIONS = 1500
"""Upper limit of operations of the program; it has 1449 with JAX 0.10."""

COPIES = 5
"""Copies of the step: warm-up, runs of all chunks, their judgment, repair of chunks, and the plain loop."""


class Traced:
    """A network that counts how often it is traced."""

    def __init__(self, parts=2):
        self.times, self.parts = 0, parts

    def __call__(self, s, x):
        self.times += 1
        s = jnp.tanh(WEIGHTS @ jnp.concatenate([s, x]))
        # Moves of the entries of a state are looked at by an analysis of its own.
        return jnp.concatenate(jnp.split(s, self.parts)[::-1]), s[:3]


def lowered(step):
    return jax.jit(lambda init, xs: ps.scan(step, init, xs)).lower(jnp.zeros(64), XS).as_text()


def test_the_step_is_traced_once():
    step = Traced()
    lowered(step)
    assert step.times == 1


def test_the_program_holds_few_copies_of_the_step():
    program = lowered(Traced())
    assert program.count("stablehlo.tanh") <= COPIES


def test_the_program_is_small():
    operations = lowered(Traced()).count(" = ")
    assert operations <= MOST_OPERATIONS


def test_an_eager_call_compiles_one_program(caplog):
    init, xs = jax.block_until_ready((jnp.zeros(64), XS))
    with caplog.at_level(logging.DEBUG, logger="jax._src.interpreters.pxla"), jax.log_compiles():
        # No other test has compiled these parts.
        ps.scan(Traced(parts=8), init, xs)
    compiled = [record.getMessage() for record in caplog.records if record.getMessage().startswith("Compiling")]
    assert len(compiled) == 1, compiled
