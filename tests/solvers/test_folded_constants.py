"""No solver multiplies weights that a step closes over by constants of all steps: XLA would do so as it compiles.

Of a GRU of 64 units over 20000 steps that took half a minute, in the check for Jacobians that are not finite.
"""

import math
import re

import jax
import jax.numpy as jnp
import pytest

import parascan as ps

T, D = 500, 12
WEIGHTS = jax.random.normal(jax.random.key(0), (D, D)) / 8
SOLVERS = {
    "newton": ps.deer(),
    "newton in a trust region": ps.elk(),
    "newton on blocks": ps.MultipleShooting.fitting(ps.deer(), T, -0.5),
}


@pytest.mark.parametrize("name", SOLVERS)
def test_no_compiled_constant_is_larger_than_the_weights(name):
    def run(init, inputs):
        return ps.scan(lambda s, x: (jnp.tanh(WEIGHTS @ s + x),) * 2, init, inputs, solver=SOLVERS[name])[1]

    text = jax.jit(run).lower(jnp.zeros(D), jnp.zeros((T, D))).compile().as_text()
    shapes = re.findall(r"\[([\d,]+)\]\S* constant\(", text)
    assert max(math.prod(map(int, shape.split(","))) for shape in shapes) <= WEIGHTS.size
