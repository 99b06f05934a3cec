"""Every solver with its sequence cut over four devices: the answer and the derivatives of the plain loop."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from over_devices import largest_message, mesh_of, placed, spec_of

import parascan as ps
from combinations import exhaustive

T, D = 240, 3
SOLVERS = {
    "deer": ps.deer(),
    "quasi_deer": ps.quasi_deer(),
    "picard": ps.picard(),
    "jacobi": ps.jacobi(),
    "scale_elk": ps.scale_elk(0.3),
    "elk": ps.elk(),
    "quasi_elk": ps.quasi_elk(),
    "clipped": ps.Newton(ps.StochasticDiagonal(jax.random.key(3)), clip=2.0),
    "line search": ps.LineSearch(ps.deer()),
    "hybrid": ps.Hybrid(ps.jacobi(), ps.deer()),
    "anderson": ps.Anderson(ps.quasi_deer(), 2),
    "with fallback": ps.WithFallback(ps.deer()),
    "shooting": ps.MultipleShooting(ps.deer(), 10),
    "shooting with burn-in": ps.MultipleShooting(ps.jacobi(), 7, 7),
    "gradient": ps.GradientDescent(optax.adam(0.05)),
    "sequential": ps.Sequential(),
}


# Of each way of sharing the work one; the others differ in what every device does by itself.
BY_DEFAULT = ("deer", "jacobi")


def problem():
    rng = np.random.default_rng(0)
    weights = jnp.asarray(rng.normal(size=(D, D)) * 0.25)
    return weights, jnp.ones(D), jnp.asarray(rng.normal(size=(T, D)))


def loss(scan, weights, s0, xs):
    def step(s, x):
        s = jnp.tanh(weights @ s + x)
        return s, (s[0] * x, jnp.sum(s) > 0)

    carry, (ys, flags) = scan(step, s0, xs)
    return jnp.sum(jnp.sin(ys)) + jnp.sum(carry**2), (carry, ys, flags)


@pytest.mark.parametrize("name", [*BY_DEFAULT, *exhaustive((name,) for name in SOLVERS if name not in BY_DEFAULT)])
def test_a_solver_over_devices_has_the_answer_and_derivatives_of_the_plain_loop(name):
    mesh = mesh_of("automatic", time=4)
    with jax.enable_x64(True):
        weights, s0, xs = problem()
        exact = ps.Merit(1e-24) if name == "gradient" else None

        def on_devices(*args):
            iterative = {"criterion": exact} if exact is not None else {}
            return ps.scan(*args, solver=SOLVERS[name], mesh=mesh, **iterative)

        def both(scan, *args):
            return jax.value_and_grad(lambda *args: loss(scan, *args), argnums=(0, 1, 2), has_aux=True)(*args)

        (_, given), slopes = jax.jit(lambda *args: both(on_devices, *args))(weights, s0, placed(mesh, xs, "time"))
        (_, expected), exact_slopes = both(jax.lax.scan, weights, s0, xs)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9), given, expected)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9), slopes, exact_slopes)
        assert spec_of(given[1]) == spec_of(slopes[2]) == ("time",)


@pytest.mark.parametrize("name", ["deer", *exhaustive([("jacobi",), ("elk",), ("quasi_elk",)])])
def test_an_update_moves_one_summary_a_device(name):
    """D^2 + D entries from each of the devices, or a state, but never a part of the sequence."""
    mesh = mesh_of("automatic", time=4)
    with jax.enable_x64(True):
        weights, s0, xs = problem()
        xs = placed(mesh, jnp.tile(xs, (4, 1)), "time")

        def mean(weights, xs):
            return loss(lambda *args: ps.scan(*args, solver=SOLVERS[name], mesh=mesh), weights, s0, xs)[0]

        assert 0 < largest_message(jax.grad(mean, argnums=(0, 1)), weights, xs) <= 4 * (D**2 + D)


@pytest.mark.slow
def test_reverse_batch_and_statistics():
    mesh = mesh_of("automatic", batch=2, time=2)
    with jax.enable_x64(True):
        weights, s0, xs = problem()
        batch = jnp.stack([xs, 0.5 * xs, 2 * xs, -xs])

        def step(s, x):
            return jnp.tanh(weights @ s + x)

        def one(xs, **options):
            solution = ps.rollout(step, s0, xs, reverse=True, solver=ps.deer(), **options)
            return solution.states, solution.stats.iterations, solution.stats.exact_prefix

        given = jax.jit(jax.vmap(lambda xs: one(xs, mesh=mesh)))(placed(mesh, batch, "batch", "time"))
        expected = jax.jit(jax.vmap(one))(batch)
        np.testing.assert_allclose(given[0], expected[0], atol=1e-12)
        np.testing.assert_array_equal(given[1], expected[1])
        assert spec_of(given[0]) == ("batch", "time")


def test_a_failure_on_devices_is_an_error():
    mesh = mesh_of("automatic", time=4)
    lorenz = ps.systems.get("lorenz")
    with pytest.raises(ps.RolloutError, match="max_iterations"):
        ps.rollout(lorenz.step, lorenz.initial_state, length=2000, solver=ps.deer(), max_iterations=3, mesh=mesh)
