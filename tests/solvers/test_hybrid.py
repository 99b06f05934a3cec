"""First-order until the basin, then Newton: when it switches, and that it comes back."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import parascan as ps
from parascan.problem.flat_recurrence import Recurrence
from parascan.solvers import Iterate


def problem_and_iterate():
    problem = Recurrence(lambda s, x: 50 * s**2, jnp.zeros(1), None, 3)
    states = jnp.asarray([[0.0], [1.0], [50.0]])
    return problem, Iterate(states, problem.predictions(states))


def test_newton_is_not_kept_where_it_overshoots_and_is_kept_in_the_basin():
    problem, far = problem_and_iterate()
    descent, newton = ps.GradientDescent(optax.sgd(1e-5)), ps.deer()
    hybrid = ps.Hybrid(descent, newton, every=3)
    step = jax.jit(lambda iterate, phase: hybrid.step(problem, iterate, phase))
    states, phase = step(far, hybrid.init(problem, far.states))
    alone = jax.jit(lambda iterate: descent.step(problem, iterate, descent.init(problem, iterate.states))[0])
    np.testing.assert_allclose(states, alone(far), rtol=1e-6)
    assert not bool(phase.fast)
    assert int(phase.since) == 1
    near = jnp.asarray([[0.0], [1e-3], [5e-5]])
    iterate = Iterate(near, problem.predictions(near))
    states, phase = step(iterate, hybrid.init(problem, near))
    alone = jax.jit(lambda iterate: newton.step(problem, iterate, jnp.int32(0))[0])
    np.testing.assert_allclose(states, alone(iterate), rtol=1e-6)
    assert bool(phase.fast)
    back, phase = step(far, phase)
    assert not bool(phase.fast)
    assert float(problem.merit(back)) < float(problem.merit(far.states))


@pytest.mark.parametrize(("radius", "newton"), [(0.5, False), (2.0, True)])
def test_a_given_radius_decides_alone(radius, newton):
    problem, far = problem_and_iterate()
    hybrid = ps.Hybrid(ps.GradientDescent(), ps.deer(), radius=radius)
    assert bool(hybrid.step(problem, far, hybrid.init(problem, far.states))[1].fast) == newton


@pytest.mark.slow
def test_it_needs_far_fewer_iterations_than_descent_alone():
    weights = 0.9 * jnp.linalg.qr(jax.random.normal(jax.random.key(0), (3, 3)))[0]
    step, xs = lambda s, x: jnp.tanh(weights @ s + x), jax.random.normal(jax.random.key(1), (400, 3))
    hybrid = ps.rollout(step, jnp.zeros(3), xs, solver=ps.Hybrid(ps.GradientDescent(), ps.deer(), every=5))
    descent = ps.rollout(step, jnp.zeros(3), xs, solver=ps.GradientDescent())
    assert 3 * int(hybrid.stats.iterations) < int(descent.stats.iterations)


def test_the_searched_rate_never_raises_the_merit():
    step = lambda s, x: 0.5 * jnp.sin(s) + x  # noqa: E731
    options = {"max_iterations": 6, "history": True, "throw": False}
    solution = ps.rollout(step, jnp.zeros(2), jnp.ones((20, 2)), solver=ps.GradientDescent(), **options)
    merit = np.asarray(solution.history.merit)[:6]
    assert (np.diff(merit) <= 0).all()
    assert merit[-1] < 1e-2 * merit[0]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((ps.Sequential(), ps.deer()), {}, TypeError, "first: given Sequential"),
        ((ps.deer(), ps.deer), {}, TypeError, "then: given deer"),
        ((ps.deer(), ps.deer()), {"every": 1.5}, TypeError, "every: given 1.5"),
        ((ps.deer(), ps.deer()), {"every": 0}, ValueError, "every: given 0"),
        ((ps.deer(), ps.deer()), {"contraction": 1.0}, ValueError, "contraction: given 1.0"),
        ((ps.deer(), ps.deer()), {"radius": 0.0}, ValueError, "radius: given 0.0"),
    ],
)
def test_wrong_arguments_are_refused(arguments, options, error, text):
    with pytest.raises(error, match=text):
        ps.Hybrid(*arguments, **options)
