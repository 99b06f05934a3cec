"""The fast count of Newton's steps on many networks is that of the rollout."""

import jax
import numpy as np
import pytest

import parascan as ps
from parascan.paper.experiments import mean_field_newton as _rnn_newton
from parascan.paper.experiments.mean_field import Steps, network_of, steps
from parascan.paper.experiments.mean_field_newton import newton_steps

ENDS, GAINS = (30, 90), (0.5, 0.9, 1.1, 1.3, 1.6)


def rolled_out(seed, gain, length, most):
    """Updates of the rollout from the same guess."""
    system = ps.systems.tanh_rnn(gain=gain, key=jax.random.key(seed))
    guess = network_of(seed, ENDS[-1]).guess[:length]
    solution = ps.rollout(
        system.step, system.initial_state, system.inputs(length), solver=ps.deer(), criterion=ps.Merit(1e-10),
        guess=ps.guesses.Given(guess, reset=guess), max_iterations=most, throw=False,
    )  # fmt: skip
    return int(solution.stats.iterations)


@pytest.mark.slow
def test_counts_on_every_prefix_are_those_of_rollouts(tmp_path):
    with jax.enable_x64(True):
        found = steps(Steps(3, GAINS, ENDS, most=90), tmp_path)["updates"]
        expected = np.array([[rolled_out(3, gain, length, 90) for length in ENDS] for gain in GAINS])
    # Where roundings are amplified, a count may be off by one in ten.
    np.testing.assert_allclose(found, expected, atol=0.5, rtol=0.1)
    assert (found[:3] == expected[:3]).all()


def test_a_run_that_is_given_up_says_so(tmp_path):
    with jax.enable_x64(True):
        found = steps(Steps(3, GAINS, ENDS, most=5), tmp_path)["updates"]
    assert found[0, -1] == 3
    assert found[-1, -1] == _rnn_newton.UNMET


def test_a_stored_run_is_taken_up_with_the_same_counts_and_updates_are_not_repeated(tmp_path, monkeypatch):
    monkeypatch.setattr(_rnn_newton, "PAUSE", -1.0)
    stored, calls, update = tmp_path / "work.npz", [], _rnn_newton._update

    def counted(*arguments):
        calls.append(1)
        if len(calls) == 12:
            raise KeyboardInterrupt
        return update(*arguments)

    monkeypatch.setattr(_rnn_newton, "_update", counted)
    with jax.enable_x64(True):
        network, gains, ends = network_of(3, ENDS[-1]), np.array(GAINS), np.array(ENDS)
        with pytest.raises(KeyboardInterrupt):
            newton_steps(network, gains, ends, 1e-10, 90, stored)
        resumed = newton_steps(network, gains, ends, 1e-10, 90, stored)
        made = len(calls)
        whole = newton_steps(network, gains, ends, 1e-10, 90)
    assert (resumed.counts == whole.counts).all()
    # One call was lost to the interrupt; all others together are as many as those of the whole run.
    assert made - 1 == len(calls) - made


def test_overflow_is_put_back_to_the_guess_and_noticed():
    with jax.enable_x64(True):
        network = network_of(0, 50)
        wild = newton_steps(network, np.array([0.5, 1e9]), np.array([50]), 1e-10, 50)
    assert list(wild.overflowed) == [False, True]
    assert wild.counts[0, 0] > 0
