"""Steps one after the other: totals are added up afterwards, and each step counts once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from parascan.chunked import AbstractTally, scan_steps


class Weighed(AbstractTally):
    """A sum that is half forgotten; the total is that of each new state times its input."""

    weight: jax.Array

    def __call__(self, carry, x):
        carry = 0.5 * carry + self.weight * x
        return carry, (carry, carry - self.weight * x)

    def tally(self, carry, x):
        after, ys = self(carry, x)
        return after, ys, jnp.outer(after, x)

    def again(self, y, x, counted):
        return jnp.where(counted, 2 * y[1], 0), jnp.where(counted, x, 0)


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("length", [1, 63, 64, 65, 300])
def test_totals_count_every_step_once(length, prepared):
    """Also where no number of portions makes up the length, so that the last one begins among the rows before it."""
    xs = jnp.asarray(np.random.default_rng(0).normal(size=(length, 3)), jnp.float32)
    run = jax.jit(
        lambda xs: scan_steps(
            Weighed(jnp.full(3, 2.0)), jnp.ones((1, 3)), xs[None], length, reverse=False, prepared=prepared
        )
    )
    carry, ys, total = run(xs)
    state, states = np.ones(3), []
    for x in np.asarray(xs, float):
        state = 0.5 * state + 2 * x
        states.append(state)
    np.testing.assert_allclose(carry[0], state, rtol=1e-5)
    np.testing.assert_allclose(ys[0][0], states, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(total, np.transpose(states) @ np.asarray(xs, float), rtol=1e-4, atol=1e-3)
