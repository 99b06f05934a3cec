"""One of several processes over ``jax.distributed``: checks, each of which ends with an error where it fails."""

from process_start import say, start

process, count, _ = start()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax.sharding import NamedSharding  # noqa: E402

import parascan as ps  # noqa: E402

T, D = 4096, 8
MESH = jax.make_mesh((count,), ("time",))
SPREAD = NamedSharding(MESH, jax.P("time"))
WEIGHTS = np.random.default_rng(0).normal(size=(D, D)).astype(np.float32) * 0.1
INPUTS = np.random.default_rng(1).normal(size=(T, D)).astype(np.float32)
OWN = slice(process * T // count, (process + 1) * T // count)


def given():
    """The inputs, of which each process has its own part alone."""
    return jax.make_array_from_process_local_data(SPREAD, INPUTS[OWN])


def step_of(weights):
    def step(s, x):
        s = jnp.tanh(weights @ s + x)
        return s, 2 * s

    return step


def loss(scan, weights, xs):
    carry, ys = scan(step_of(weights), jnp.zeros(D), xs)
    return jnp.mean(ys**2) + jnp.sum(carry)


def local(array):
    """What of an array lies on this process."""
    return np.asarray(array.addressable_shards[0].data)


def close(array, expected, atol=1e-5):
    np.testing.assert_allclose(local(array), expected, atol=atol)


expected = jax.lax.scan(step_of(WEIGHTS), jnp.zeros(D), INPUTS)[1][OWN]
slopes = jax.grad(lambda weights: loss(jax.lax.scan, weights, INPUTS))(jnp.asarray(WEIGHTS))
solution = ps.rollout(step_of(WEIGHTS), jnp.zeros(D), given(), solver=ps.Chunked(8))
close(solution.ys, expected)
assert (int(solution.stats.chunks), bool(solution.stats.fell_back)) == (8 * count, False)


@jax.jit
def by_newton(weights, xs):
    scan = lambda *args: ps.scan(*args, solver=ps.deer(), mesh=MESH)  # noqa: E731
    return scan(step_of(weights), jnp.zeros(D), xs)[1], jax.grad(lambda weights: loss(scan, weights, xs))(weights)


ys, slope = by_newton(jnp.asarray(WEIGHTS), given())
close(ys, expected)
close(slope, slopes)

# A system that does not forget: the sum of all inputs.
totals = ps.scan(lambda s, x: (s + x, s + x), jnp.zeros(D), given(), solver=ps.Chunked(8))[1]
close(totals, np.cumsum(INPUTS.astype(np.float64), axis=0)[OWN], atol=1e-2)

# A linear recurrence as a call of its own, diagonal.
decays = jax.make_array_from_process_local_data(SPREAD, np.full_like(INPUTS[OWN], 0.9))
states = jax.lax.scan(lambda s, x: (0.9 * s + x,) * 2, jnp.zeros(D), INPUTS)[1]
close(ps.linear_recurrence(decays, given(), jnp.zeros(D)), states[OWN], atol=1e-4)

# A failure is an error on every process.
lorenz = ps.systems.get("lorenz")
try:
    ps.rollout(lorenz.step, lorenz.initial_state, length=2000, solver=ps.deer(), max_iterations=3, mesh=MESH)
except ps.RolloutError:
    say(f"done {process}")
