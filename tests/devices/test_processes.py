"""Several processes on one machine, which exchange messages over its own network."""

import numpy as np
import pytest
from process_launch import finished, said, started

T = 1200

PATIENCE = 120
"""Seconds within which a process ends after another one was killed."""


@pytest.mark.slow
def test_two_processes_have_the_answers_of_one():
    """Chunks, Newton, a gradient, a linear recurrence, a system that does not forget, and a failed solve."""
    assert finished("two_processes.py") == [["done 0"], ["done 1"]]


@pytest.mark.slow  # A plan compiles for half a minute, in both processes.
def test_choices_are_those_of_the_first_process():
    """The machine's record, plans, and errors of one process."""
    assert finished("process_plan.py") == [["done 0"], ["done 1"]]


def states(folder):
    """The states that the processes of a stream have written."""
    return np.fromfile(folder / "states", np.float32).reshape(-1, 3)


def reference(system):
    inputs = np.random.default_rng(1).normal(size=(T, 3)).astype(np.float32)
    if system == "total":
        return np.cumsum(inputs.astype(np.float64), axis=0)
    weights = 0.5 * np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    found = [np.zeros(3)]
    for x in inputs:
        found.append(np.tanh(weights @ found[-1] + x))
    return np.array(found[1:])


@pytest.mark.slow  # Two processes start four times, and one of them waits until the other is known to be gone.
@pytest.mark.parametrize("system", ["network", "total"])
def test_a_killed_process_ends_the_other_and_a_restart_has_the_same_bits(system, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    assert [each[-1] for each in finished("process_stream.py", system, T, whole)] == ["done", "done"]
    np.testing.assert_allclose(states(whole), reference(system), atol=1e-3)
    for victim in (1, 0):
        with started("process_stream.py", system, T, killed) as processes:
            lines = 0
            for line in processes[victim].stdout:
                lines += not line.startswith("[Gloo]")
                if lines == 2:
                    processes[victim].kill()
                    break
            out, err = processes[1 - victim].communicate(timeout=PATIENCE)
            assert processes[1 - victim].returncode != 0, err[-3000:]
            assert "done" not in said(out)
    again = finished("process_stream.py", system, T, killed)
    assert all(each[-1] == "done" for each in again)
    assert all(int(each[0]) > 0 for each in again)
    np.testing.assert_array_equal(states(killed), states(whole))


@pytest.mark.slow  # Eight processes start.
def test_a_stream_goes_on_with_the_same_number_of_processes_alone(tmp_path):
    assert [each[-1] for each in finished("process_stream.py", "total", 240, tmp_path)] == ["done", "done"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("mark.0", "mark.0.before", "mark.1", "mark.1.before", "states")
    ]
    # A process that was ended before it had stored the last piece: all go on from the one before.
    (tmp_path / "mark.1.before").replace(tmp_path / "mark.1")
    assert finished("process_stream.py", "total", 240, tmp_path) == [["120", "done"], ["180", "done"]]
    for one in finished("process_stream.py", "total", 240, tmp_path, count=1):
        assert "written by several processes, expected the same number" in one[0]
    first, second, third = finished("process_stream.py", "total", 240, tmp_path, count=3)
    assert "written by 2 process(es), expected as many as now, 3." in first[0]
    assert "written by 2 process(es), expected as many as now, 3." in second[0]
    assert third[0].startswith("refused: on process 0: state_file: given")
