"""Hard cases: what says successful is right, what fails says so, and the published table is what runs give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import table
from hard_cases import CASES, METHODS, contracting, lorenz, outcome

import parascan as ps
from combinations import exhaustive

ERROR = {"float64": 1e-11, "float32": 8e-6}
QUICK = [
    ("unstable_transient", "elk"),
    *exhaustive([("far_cubic", "elk")]),
    ("jumping", "Hybrid(descent, deer)"),
    ("chaotic_rnn", "quasi_deer"),
]


def judged(name, method):
    """The outcome of a run, checked where it claims success."""
    code, iterations, error = outcome(CASES[name], method)
    assert code in ("successful", *table.SHORT)
    if code == "successful" and CASES[name].predictable:
        assert error < ERROR[CASES[name].dtype]
    return code, iterations


@pytest.mark.parametrize(("name", "method"), QUICK)
def test_success_is_the_sequential_trajectory(name, method):
    judged(name, method)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["deer", "elk", "LineSearch(deer)"])
def test_five_hundred_dimensions(method):
    with jax.enable_x64(True):
        step, init, xs = contracting(jnp.dtype("float64"), 500, 12)
        solution = ps.rollout(step, init, xs, solver=METHODS[method]())
        truth = jax.lax.scan(lambda s, x: (step(s, x),) * 2, init, xs)[1]
    np.testing.assert_allclose(solution.states, truth, rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["deer", "quasi_elk"])
def test_a_million_steps_in_float32(method):
    step, init, xs = contracting(jnp.dtype("float32"), 1, 10**6)
    solution = ps.rollout(step, init, xs, solver=METHODS[method]())
    with jax.enable_x64(True):
        wide = contracting(jnp.dtype("float64"), 1, 10**6)
        truth = jax.lax.scan(lambda s, x: (wide[0](s, x),) * 2, wide[1], wide[2])[1]
    assert int(solution.stats.iterations) < 30
    np.testing.assert_allclose(solution.states, truth, rtol=0, atol=4e-6)


@pytest.mark.slow
def test_lorenz_at_full_length_from_standard_normals():
    with jax.enable_x64(True):
        step, init, xs = lorenz(jnp.dtype("float64"), 30_000)
        guess, criterion = ps.guesses.Normal(jax.random.key(0)), ps.Merit(1e-10)
        shooting = ps.MultipleShooting(ps.deer(), 50)
        solution = ps.rollout(step, init, xs, solver=shooting, guess=guess, criterion=criterion)
    assert 100 < int(solution.stats.iterations) <= 600
    assert bool(jnp.all(jnp.isfinite(solution.states)))


@pytest.mark.slow
def test_the_published_table_is_what_runs_give():
    published = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.read()]
    assert published[0][1:] == list(METHODS)
    for row, name in zip(published[2:], CASES, strict=True):
        for given, method in zip(row[1:], METHODS, strict=True):
            code, iterations = judged(name, method)
            if given.isdigit():
                assert code == "successful", (name, method)
                assert abs(iterations - int(given)) <= 2 + 0.1 * int(given), (name, method)
            else:
                assert table.SHORT[code] == given, (name, method)
