"""Python's numbers, and NumPy's, among what a step returns: arrays with a weak type, as for ``jax.lax.scan``."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import exhaustive, some

WEIGHTS = 0.4 * np.random.default_rng(0).normal(size=(16, 16)) / 4
XS = np.random.default_rng(1).normal(size=(4096, 16))
SOLVERS = {
    "default": None,
    "blocks": ps.Chunked(chunks=8),
    "loop": ps.Sequential(),
    "newton": ps.deer(),
    "jacobi": ps.jacobi(),
    "newton on blocks": ps.MultipleShooting(ps.deer(), 64),
}


@pytest.mark.parametrize(
    ("length", "name"),
    [
        *((50, name) for name in ("default", "jacobi")),
        *((4096, name) for name in ("default", "blocks")),
        *exhaustive((50, name) for name in ("loop", "newton", "newton on blocks")),
        *exhaustive((4096, name) for name in ("loop", "newton", "jacobi", "newton on blocks")),
    ],
)
def test_numbers_among_outputs_and_in_the_carry(name, length):
    weights, xs = jnp.asarray(WEIGHTS), jnp.asarray(XS[:length])

    def step(carry, x):
        s, _ = carry
        s = jnp.tanh(weights @ s + x)
        return (s, 1.0), {"one": 1.0, "two": 2, "yes": True, "three": np.float32(3), "many": np.ones(3), "s": s[0]}

    init = (jnp.zeros(16), 0.0)
    for other in (1.0, 1):
        init = (jnp.zeros(16), other)
        ours, loop = ps.scan(step, init, xs, solver=SOLVERS[name]), jax.lax.scan(step, init, xs)
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), ours) == jax.tree.map(
            lambda leaf: (leaf.shape, leaf.dtype), loop
        )
        jax.tree.map(lambda one, two: np.testing.assert_allclose(one, two, atol=2e-5), ours, loop)
    gradient = lambda scan: jax.grad(lambda xs: scan(step, init, xs)[1]["s"].sum())(xs)  # noqa: E731
    ours = gradient(lambda *call: ps.scan(*call, solver=SOLVERS[name]))
    np.testing.assert_allclose(ours, gradient(jax.lax.scan), atol=2e-4)


@pytest.mark.parametrize("name", some(SOLVERS, "default", "newton on blocks"))
def test_a_number_is_all_that_comes_out(name):
    weights, xs = jnp.asarray(WEIGHTS), jnp.asarray(XS)
    solution = ps.rollout(lambda s, x: (jnp.tanh(weights @ s + x), 0.5), jnp.zeros(16), xs, solver=SOLVERS[name])
    np.testing.assert_array_equal(solution.ys, np.full(4096, 0.5))
