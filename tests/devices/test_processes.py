"""Several processes on one machine, which exchange messages over its own network."""

import pytest
from process_launch import finished


def test_two_processes_have_the_answers_of_one():
    """Chunks, Newton, a gradient, a system that does not forget, and a failed solve."""
    assert finished("two_processes.py") == [["done 0"], ["done 1"]]


@pytest.mark.slow  # A plan compiles for half a minute, in both processes.
def test_choices_are_those_of_the_first_process():
    """The machine's record, plans, and errors of one process."""
    assert finished("process_plan.py") == [["done 0"], ["done 1"]]
