"""Random problems: what says successful agrees with float64, what is no number is called so, nothing else happens.

``FUZZ=10000`` (``make fuzz``) runs so many problems; by default a slice.
"""

import dataclasses
import itertools
import os

import jax
import numpy as np
import problems
import pytest

import parascan as ps

COUNT = int(os.environ.get("FUZZ", "0"))
BATCH = 50
SLICE = [("hybrid", (17, 1)), ("forgetting", (40, 3))]
EVERY = list(itertools.product(problems.SOLVERS, problems.SHAPES))
GROUPS = EVERY if COUNT else SLICE
ROUNDS = max(1, -(-COUNT // (BATCH * len(EVERY))))

EPS = float(np.finfo(np.float32).eps)
LEAST = 2 * 16 * EPS
"""Twice the default tolerance, which a solver met by its own estimate."""
ROUNDING = 30
"""How many times the error of sequential evaluation in float32 an answer may have: roundings that fall otherwise."""


def complaints(batch, solution):
    """What is wrong with the answers to a batch, by problem."""
    states = np.asarray(solution.states, np.float64)
    single = np.asarray(problems.sequential(batch))
    with jax.enable_x64(True):
        wide = problems.Problems(*(leaf.astype(np.float64) if leaf.dtype.kind == "f" else leaf for leaf in batch))
        double = np.asarray(problems.sequential(wide))
    found = {}
    for index in range(len(states)):
        code = next(n for n in ps.Result._name_to_item if np.asarray(solution.result == getattr(ps.Result, n))[index])
        finite = np.isfinite(single[index]).all()
        prefix = int(solution.stats.finite_prefix[index])
        if code == "successful":
            scale = 1 + np.abs(double[index]).max(initial=0.0)
            # On its own scale rounding may grow as it does for sequential evaluation: that is the system's doing.
            allowed = LEAST * scale + ROUNDING * np.abs(single[index] - double[index]).max(initial=0.0)
            error = np.abs(states[index] - double[index]).max(initial=0.0)
            if not error <= allowed:
                found[index] = f"successful, kind {batch.kind[index]}, error {error:.3g}, allowed {allowed:.3g}"
        elif code == "nonfinite" and finite:
            found[index] = f"called nonfinite at {prefix}, kind {batch.kind[index]}"
        elif code == "nonfinite" and not np.isfinite(states[index][:prefix]).all():
            found[index] = "states before the first non-finite step are not finite"
        elif code == "max_iterations_reached" and int(solution.stats.iterations[index]) < 1:
            found[index] = "out of a budget that was not used"
    return found


@pytest.mark.parametrize(("name", "shape"), GROUPS)
def test_every_answer_is_right_or_says_what_is_wrong(name, shape):
    solve = problems.solve(problems.SOLVERS[name])
    total, successes = 0, 0
    for seed in range(ROUNDS):
        batch = problems.draw(seed, BATCH, *shape)
        solution = solve(batch)
        assert complaints(batch, solution) == {}, f"seed {seed}"
        total += BATCH
        successes += int(np.sum(np.asarray(solution.result == ps.Result.successful)))
    # Plain descent refuses most of these; the others must not get by on refusals.
    assert successes > (0.1 if name == "descent" else 0.3) * total


def test_a_wrong_answer_is_seen():
    batch = problems.draw(0, BATCH, 17, 1)
    solution = problems.solve(ps.deer)(batch)
    wrong = dataclasses.replace(solution, states=solution.states + 0.1)
    assert len(complaints(batch, wrong)) > BATCH // 3
