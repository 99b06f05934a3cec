"""Steps that hold loops, solvers, rules of their own and calls into Python: measured forwards, or refused in words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import exhaustive
from parascan.diagnostics import Paths, covariant_vectors, diagnose, lipschitz
from parascan.diagnostics.growth.side_by_side import SideBySideStep
from parascan.problem.flat_recurrence import Recurrence

MATRIX = np.array([[2.0, 0.3], [0.1, 1.5]], np.float32)


def looped(s, x):
    """Twice ``tanh(s + x) / 2`` mixed, in a loop whose turns are not known beforehand."""

    def turn(carry):
        s, count = carry
        return 0.5 * jnp.tanh(s + x) + 0.1 * s[::-1], count + 1

    return jax.lax.while_loop(lambda carry: carry[1] < 2, turn, (s, 0))[0]


def unrolled(s, x):
    """The same without a loop."""
    for _ in range(2):
        s = 0.5 * jnp.tanh(s + x) + 0.1 * s[::-1]
    return s


@jax.custom_vjp
def with_pullback(s):
    return jnp.tanh(s)


with_pullback.defvjp(lambda s: (jnp.tanh(s), s), lambda s, cotangent: (0.5 * cotangent,))


def calling(s, x):
    """Half the sine of numpy."""
    return 0.5 * jax.pure_callback(np.sin, jax.ShapeDtypeStruct(s.shape, s.dtype), s, vmap_method="expand_dims") + x


@pytest.mark.slow
def test_what_reverse_mode_would_find_is_found_forwards(getkey):
    states, key = jax.random.normal(getkey(), (3, 5)), getkey()
    x, vectors = jax.random.normal(getkey(), (3, 5)), jax.random.normal(getkey(), (3, 5))
    pulled = SideBySideStep(looped).pull(states, x, vectors)
    jacobians = jax.vmap(jax.jacfwd(looped), in_axes=1)(states, x)
    np.testing.assert_allclose(pulled, jnp.einsum("pij,ip->jp", jacobians, vectors), rtol=1e-5, atol=1e-6)
    inputs = jax.random.normal(getkey(), (40, 3))
    found = []
    for step in (looped, unrolled):
        problem = Recurrence(step, jnp.zeros(3), inputs, 40)
        found.append(lipschitz(Paths.whole(problem, problem.trajectory()), key).value)
    assert float(found[1]) > 0.1
    np.testing.assert_allclose(*found, rtol=1e-4)


@pytest.mark.slow
def test_a_loop_is_diagnosed(getkey):
    found = diagnose(looped, jnp.zeros(2), 0.1 * jax.random.normal(getkey(), (400, 2)), key=getkey())
    assert float(found.exponent.high) < 0
    assert np.isfinite(float(found.lipschitz.value))


@pytest.mark.slow
def test_a_step_with_a_pullback_of_its_own_is_planned(getkey):
    xs = jax.random.normal(getkey(), (400, 2))
    plan = ps.plan(lambda s, x: 0.5 * with_pullback(s) + x, jnp.zeros(2), xs, key=getkey())
    assert len(plan.candidates) > 1


@pytest.mark.slow
def test_a_linear_solve_inside_the_step_is_certified(getkey):
    def step(s, x):
        return jnp.linalg.inv(jnp.asarray(MATRIX)) @ jnp.tanh(s) + x

    xs = jax.random.normal(getkey(), (100, 2))
    states = ps.rollout(step, jnp.zeros(2), xs, solver=ps.Sequential()).states
    assert bool(ps.certify(step, jnp.zeros(2), xs, states).certified)


USES = {
    "certify": lambda xs, key: ps.certify(calling, jnp.zeros(2), xs, xs),
    "exponents": lambda xs, key: ps.lyapunov_exponents(calling, jnp.zeros(2), xs, key=key),
    "conditioning": lambda xs, key: ps.conditioning(calling, jnp.zeros(2), xs, key=key),
    "diagnose": lambda xs, key: diagnose(calling, jnp.zeros(2), xs, key=key),
    "vectors": lambda xs, key: covariant_vectors(calling, jnp.zeros(2), xs, key=key),
    "newton": lambda xs, key: ps.rollout(calling, jnp.zeros(2), xs, solver=ps.deer()),
    "damped": lambda xs, key: ps.rollout(calling, jnp.zeros(2), xs, solver=ps.elk()),
    "diagonal": lambda xs, key: ps.rollout(calling, jnp.zeros(2), xs, solver=ps.quasi_deer()),
}


@pytest.mark.parametrize("use", USES)
def test_a_step_without_a_derivative_is_refused_in_words(use, getkey):
    with pytest.raises(ValueError, match=r"step: given one that calls Python by jax\.pure_callback, expected one with"):
        USES[use](jnp.ones((40, 2)), getkey())


@pytest.mark.parametrize(
    "solver",
    [
        ps.deer(),
        *exhaustive(
            (each,) for each in (ps.MultipleShooting(ps.deer(), 8), ps.elk(), ps.picard(), ps.LineSearch(ps.deer()))
        ),
    ],
)
def test_constants_among_the_outputs(solver):
    def step(s, x):
        return 0.5 * s + x, (True, 1.5, None, s, np.float32(2))

    found = ps.rollout(step, jnp.zeros(2), jnp.ones((40, 2)), solver=solver).ys
    expected = jax.lax.scan(step, jnp.zeros(2), jnp.ones((40, 2)))[1]
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, atol=1e-5)
