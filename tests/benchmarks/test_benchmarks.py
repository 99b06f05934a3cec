"""The benchmarks measure what they say: turns, medians, answers compared first, a table made from the results."""

import jax
import jax.numpy as jnp
import pytest
from benchmarks.case import Case, Size
from benchmarks.harness import assert_close, compare, quickest
from benchmarks.rows import ROWS

import parascan as ps
from benchmarks import grid, regret, store, yardsticks

TOY = Size(toy=True, rounds=2)


class FakeClock:
    """A clock that only programs move."""

    def __init__(self):
        self.now = 0.0
        self.order = []

    def __call__(self):
        return self.now

    def program(self, name, seconds):
        def run():
            self.order.append(name)
            self.now += seconds

        return run


def test_both_take_turns_and_the_ratio_is_theirs_over_ours():
    clock = FakeClock()
    ratio = compare(clock.program("ours", 1.0), clock.program("theirs", 3.0), rounds=4, clock=clock)
    assert ratio.median == ratio.low == ratio.high == 3.0
    assert ratio.seconds == 1.0
    assert clock.order[-8:] == ["ours", "theirs", "theirs", "ours"] * 2


def test_short_calls_are_repeated_within_a_sample():
    clock = FakeClock()
    compare(clock.program("ours", 0.001), clock.program("theirs", 0.002), rounds=1, clock=clock)
    assert clock.order.count("ours") > 15
    assert clock.order.count("theirs") > 8


def test_the_quickest_of_many_is_found():
    clock = FakeClock()
    programs = {unroll: clock.program(unroll, seconds) for unroll, seconds in ((1, 0.3), (2, 0.1), (4, 0.2))}
    assert quickest(programs, rounds=2, clock=clock) == 2


def test_a_grid_is_drawn_by_its_seed_and_told_as_a_distribution():
    points = grid.drawn(40, seed=3)
    assert points == grid.drawn(40, seed=3) != grid.drawn(40, seed=4)
    assert {point.cell for point in points} == set(grid.CELLS)
    assert {point.batch for point in points} == set(grid.BATCHES)
    rows = [{**point._asdict(), "ratio": 0.5 if index else 8.0} for index, point in enumerate(points)]
    assert "(0.50 to 8.00)" in grid.table(rows).splitlines()[-1] + grid.table(rows).splitlines()[8]
    assert grid.draw(rows).axes


@pytest.mark.slow
def test_another_record_decides_only_while_it_is_asked():
    call = regret.calls(toy=False)["GRU(64)"]
    own = ps.explain(*call)
    with regret.by_record({"near_bytes": 2**13, "vector_bytes": 16}):
        other = ps.explain(*call)
    assert 0 < other.chunks < own.chunks
    assert str(ps.explain(*call)) == str(own)


def test_a_wrong_answer_stops_the_row():
    with pytest.raises(AssertionError, match="wrong: error"):
        assert_close(jnp.ones(3), jnp.ones(3).at[1].set(1.01), 16, "wrong")
    with pytest.raises(AssertionError, match="missing"):
        assert_close(jnp.full(3, jnp.nan), jnp.ones(3), 16, "missing")


def test_the_yardstick_does_not_take_overflow_for_an_answer():
    # Steep where the guess is far off, for its first steps only: their products overflow into all that follow.
    def step(s, x):
        return jnp.where(jnp.abs(s - 2) < 1, 10 - 1e3 * (s - 2), jnp.where(jnp.abs(s) < 1, 0.5 * s + x, 0))

    inputs = jnp.full((300, 1), 0.1)
    guess = jnp.full((300, 1), 0.2).at[:40].set(2.0)
    states, count = yardsticks.deer(step, 300)(jnp.full(1, 0.2), inputs, guess)
    assert_close(states, yardsticks.sequential(step, 300)(jnp.full(1, 0.2), inputs), 16, "DEER")
    # Without the reset, only causality brings the answer, after as many iterations as steps.
    assert 1 < count < 100


# They compile for long: trees of matrix products, or many cases.
SLOW_ROWS = (1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13)


@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=pytest.mark.slow) if row in SLOW_ROWS else row for row in ROWS]
)
def test_every_row_runs(row):
    with jax.enable_x64(True):
        found = list(ROWS[row](TOY))
    assert found
    assert all(case.value > 0 and case.target > 0 for case in found)


def test_results_are_replaced_row_by_row_and_losing_cases_come_first(tmp_path):
    path = tmp_path / "machine.json"
    about = {"processor": "P", "cores": 2, "platform": "cpu", "jax": "0", "python": "3"}
    store.add([Case(1, "old", "m", 1.0, 1.0, 1.0, 2.0)], 1, about, path)
    store.add([Case(1, "won", "m", 3.0, 2.0, 4.0, 2.0, limit=0.5)], 1, about, path)
    store.add([Case(7, "lost", "m", 3.0, 3.0, 3.0, 2.0, most=True)], 7, about, path)
    lines = store.table(path).splitlines()
    assert "1 of 2 targets met" in lines[0]
    assert "lost" in lines[-2]
    assert "**missed**" in lines[-2]
    assert "won" in lines[-1]
    assert "| 3 (2 to 4) | at least 2 | met | 50 % |" in lines[-1]


def test_the_table_in_the_documentation_is_that_of_the_stored_results():
    text = store.DOCUMENT.read_text()
    written = text.partition(store.BEGIN)[2].partition(store.END)[0].strip()
    assert written == "\n\n".join(store.table(path) for path in sorted(store.RESULTS.glob("*.json")))
