"""The members of each contract; a new one joins its conformance tests by one line here."""

import jax
import jax.numpy as jnp
import optax

import parascan as ps

SOLVERS = {
    "sequential": lambda: ps.Sequential(),
    "forgetting": lambda: ps.Chunked(chunks=4),
    "deer": lambda: ps.deer(),
    "deer_dense": lambda: ps.Newton(ps.Full("dense")),
    "deer_matrix_free": lambda: ps.Newton(ps.Full("matrix_free")),
    "quasi_deer": lambda: ps.quasi_deer(),
    "picard": lambda: ps.picard(),
    "jacobi": lambda: ps.jacobi(),
    "scale_elk": lambda: ps.scale_elk(0.3),
    "elk": lambda: ps.elk(),
    "quasi_elk": lambda: ps.quasi_elk(),
    "blocks_elk": lambda: ps.MultipleShooting(ps.elk(), 7),
    "line_search": lambda: ps.LineSearch(ps.Newton(ps.Diagonal(), damping=0.1, clip=2.0)),
    "hybrid": lambda: ps.Hybrid(ps.GradientDescent(), ps.deer()),
    "anderson": lambda: ps.Anderson(ps.quasi_deer(), 2),
    "clipped": lambda: ps.Newton(ps.Diagonal(), clip=0.5),
    "stochastic": lambda: ps.Newton(ps.StochasticDiagonal(jax.random.key(5), probes=2)),
    "surrogate": lambda: ps.Newton(ps.Surrogate(lambda carry, x: jax.tree.map(lambda leaf: 0.3 * leaf, carry))),
    "gate": lambda: ps.Newton(
        ps.mcmc.Gate(lambda carry, x: (jax.tree.map(lambda leaf: 0.3 * leaf, carry), jnp.mean(x)))
    ),
    "block_diagonal": lambda: ps.Newton(ps.mcmc.BlockDiagonal(2)),
    "stochastic_blocks": lambda: ps.Newton(ps.mcmc.BlockDiagonal(2, jax.random.key(6), probes=2)),
    "blocks": lambda: ps.MultipleShooting(ps.deer(), 7),
    "blocks_jacobi": lambda: ps.MultipleShooting(ps.jacobi(), 8, burn_in=5),
    "guarded": lambda: ps.WithFallback(ps.deer(), budget=60),
    "gradient_descent": lambda: ps.GradientDescent(optax.sgd(0.7)),
    "gradient_search": lambda: ps.GradientDescent(),
}
"""Every solver that ``rollout`` offers."""

DIRECT = ("sequential", "forgetting")
"""Those that take no iteration."""

CAUSAL = [name for name in SOLVERS if name not in DIRECT and not name.startswith(("blocks", "gradient"))]


def rnn(key, dtype, size=4, gain=0.5):
    """A contracting tanh RNN with random inputs: step, initial state, inputs of 60 steps."""
    first, second = jax.random.split(key)
    weights = gain * jax.random.normal(first, (size, size), dtype) / size**0.5
    xs = jax.random.normal(second, (60, size), dtype)
    return lambda state, x: jnp.tanh(weights @ state + x), jnp.zeros(size, dtype), xs


def scalar(key, dtype):
    """A scalar chain: D = 1, no axis at all."""
    xs = jax.random.normal(key, (45,), dtype)
    return lambda state, x: 0.4 * jnp.sin(state) + x, jnp.asarray(0.3, dtype), xs


def tree(key, dtype):
    """A carry of several leaves and shapes, one of them an integer."""
    xs = jax.random.normal(key, (30, 2), dtype)

    def step(carry, x):
        position, velocity, count = carry["position"], carry["velocity"], carry["count"]
        velocity = 0.5 * velocity + 0.1 * jnp.tanh(position) + 0.01 * x * (count % 3)
        return {"position": 0.6 * position + 0.2 * velocity, "velocity": velocity, "count": count + 1}

    init = {"position": jnp.ones(2, dtype), "velocity": jnp.zeros(2, dtype), "count": jnp.zeros((), jnp.int32)}
    return step, init, xs


def autonomous(key, dtype):
    """No inputs."""
    return lambda state, _: 0.5 * jnp.cos(state), jnp.asarray([0.1, 2.0, -1.0], dtype), None


PROBLEMS = {"rnn": rnn, "scalar": scalar, "tree": tree, "autonomous": autonomous}
"""Predictable systems that every solver must evaluate."""
