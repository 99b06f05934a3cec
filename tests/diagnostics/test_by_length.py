"""Updates by length are those of rollouts of these lengths, whatever the method and the criterion."""

import jax
import jax.numpy as jnp
import pytest

import parascan as ps
from parascan.diagnostics import updates_by_length

ENDS = (1, 7, 24)
STEP = lambda s, x: jnp.sin(1.3 * s[::-1]) + x  # noqa: E731
INIT, XS = jnp.array([0.3, -0.2]), jax.random.normal(jax.random.key(0), (24, 2))


@pytest.mark.parametrize(
    ("solver", "criterion"),
    [(ps.jacobi(), ps.Merit(1e-8)), (ps.deer(), ps.StateError(1e-4))],
    ids=["jacobi", "newton by error"],
)
@pytest.mark.slow
def test_counts_are_those_of_rollouts(solver, criterion):
    guess = jax.random.normal(jax.random.key(1), (24, 2))
    counts = updates_by_length(STEP, INIT, XS, ends=ENDS, solver=solver, criterion=criterion, guess=guess)
    for end, count in list(zip(ENDS, counts.tolist(), strict=True))[1:]:
        solution = ps.rollout(STEP, INIT, XS[:end], solver=solver, criterion=criterion, guess=guess[:end])
        assert int(solution.stats.iterations) == count
    assert len(set(counts.tolist())) > 1


def test_a_length_that_needs_more_than_is_allowed_is_minus_one():
    options = {"solver": ps.jacobi(), "criterion": ps.Merit(1e-12), "guess": ps.guesses.Zeros()}
    counts = updates_by_length(STEP, INIT, XS, ends=ENDS, max_iterations=3, **options)
    assert counts[0] >= 0
    assert counts[-1] == -1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ends": ()}, "increase"),
        ({"ends": (5, 5)}, "increase"),
        ({"ends": (0, 5)}, "increase"),
        ({"ends": (3, 25)}, "length"),
        ({"solver": ps.GradientDescent()}, "causal"),
    ],
)
def test_what_cannot_be_counted_is_refused(changes, words):
    options = {"ends": ENDS, "solver": ps.deer(), "criterion": ps.Merit(1e-8), "guess": ps.guesses.Zeros()}
    with pytest.raises(ValueError, match=words):
        updates_by_length(STEP, INIT, XS, **{**options, **changes})
