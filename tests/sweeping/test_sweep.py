"""A function at many points: here, by processes, by a cluster; what fails, what is kept, and what is refused."""

import dataclasses
import functools
import multiprocessing
import os
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from points_of_tests import end, forecast, traced

import parascan as ps
from parascan.api.sweeping.digest import digest_of_point

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def on_path(monkeypatch):
    """Started processes find the functions of the tests."""
    paths = [str(Path(__file__).parent), str(Path(ps.__file__).parents[1])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")]))


def calls(folder):
    return {path.name: len(path.read_text()) for path in folder.iterdir() if path.suffix == ""}


def test_values_are_in_the_order_of_the_points_and_a_failed_one_is_named(tmp_path):
    told = []
    found = ps.sweep(functools.partial(traced, tmp_path), iter([1, 3, 2]), progress=told.append)
    assert (found.points, found.values) == ((1, 3, 2), (2, None, 4))
    assert found.reasons[0] == found.reasons[2] == ""
    assert found.failed[0][0] == 3
    assert found.failed[0][1].startswith("ArithmeticError: planted (points_of_tests.py, line ")
    assert [each[:3] for each in told] == [(0, 3, 0), (1, 3, 0), (2, 3, 1), (3, 3, 1)]
    assert str(told[0]) == "0 of 3 known"
    assert str(told[2]).startswith("2 of 3, 1 failed: 3: ArithmeticError: planted")
    assert str(found).splitlines()[0] == "2 of 3 points have a value"
    with pytest.raises(RuntimeError, match="failed at 3: ArithmeticError: planted"):
        found.raise_failures()
    ps.sweep(functools.partial(traced, tmp_path), []).raise_failures()


def test_no_more_points_are_given_to_an_executor_than_asked_for():
    submitted, most = [], []
    with ThreadPoolExecutor(1) as pool:
        submit = pool.submit

        def count(*args):
            submitted.append(submit(*args))
            most.append(sum(not each.done() for each in submitted))
            return submitted[-1]

        pool.submit = count
        found = ps.sweep(lambda k: k + 1, range(20), executor=pool, at_once=3)
    assert found.values == tuple(range(1, 21))
    assert max(most) <= 3


@pytest.mark.slow  # Two processes import JAX; that calls reach an executor is seen by default with threads.
def test_processes_and_a_worker_that_is_lost(on_path, tmp_path):
    with ProcessPoolExecutor(2, SPAWN) as pool:
        found = ps.sweep(forecast, [0.5, 1.0, 3.0, 1.5], executor=pool, state_file=tmp_path / "state")
        with pytest.raises(TypeError, match=r"function: given <function .*lambda.* cannot be sent to another process"):
            ps.sweep(lambda point: point, [1], executor=pool)
        lost = ps.sweep(end, [1, 2], executor=pool)
    here = ps.sweep(forecast, [0.5, 1.0, 3.0, 1.5])
    assert os.getpid() not in {value[1] for value in found.values if value}
    values = [value[0] for value in found.values if value]
    np.testing.assert_allclose(values, [value[0] for value in here.values if value], rtol=1e-5)
    assert found.failed == here.failed
    assert found.failed[0][1].startswith("ArithmeticError: planted (points_of_tests.py, line ")
    assert all(why.startswith("BrokenProcessPool: ") for why in lost.reasons)


@pytest.mark.slow  # A cluster starts in seconds; the same executor's interface is seen by default with threads.
def test_a_cluster_of_dask(on_path, tmp_path):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        executor = client.get_executor(pure=False)
        found = ps.sweep(forecast, [0.5, 3.0, 1.0], executor=executor, state_file=tmp_path / "state")
    assert os.getpid() not in {value[1] for value in found.values if value}
    assert [point for point, _ in found.failed] == [3.0]
    assert "planted (points_of_tests.py, line " in found.reasons[1]
    again = ps.sweep(forecast, [0.5, 1.0], state_file=tmp_path / "state")
    assert again.values == (found.values[0], found.values[2])


def test_a_stopped_sweep_goes_on_and_never_measures_a_value_again(tmp_path):
    folder, state = tmp_path / "traces", tmp_path / "deep" / "state"
    folder.mkdir()
    function = functools.partial(traced, str(folder))

    def stop(at):
        if at.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ps.sweep(function, range(5), state_file=state, progress=stop)
    assert calls(folder) == {"0": 1, "1": 1}
    told = []
    found = ps.sweep(function, range(5), state_file=state, progress=told.append)
    assert told[0].done == 2
    assert found.values == (0, 2, 4, None, 8)
    again = ps.sweep(function, [*range(5), 7], state_file=state)
    assert again.values == (0, 2, 4, None, 8, 14)
    assert calls(folder) == {"0": 1, "1": 1, "2": 1, "3": 2, "4": 1, "7": 1}


def test_a_value_that_no_file_can_keep_is_a_failure_of_its_point(tmp_path):
    found = ps.sweep(lambda k: (lambda: k) if k == 1 else k, [0, 1, 2], state_file=tmp_path / "state")
    assert found.values == (0, None, 2)
    assert found.reasons[1].startswith("its value of type function cannot be kept in a file: ")


def test_what_a_killed_process_left_half_written_is_cut_off(tmp_path):
    state = tmp_path / "state"
    ps.sweep(str, [1, 2], state_file=state)
    whole = state.read_bytes()
    for kept in (len(whole) - 1, len(whole) - 20):
        state.write_bytes(whole[:kept])
        seen = []
        assert ps.sweep(str, [1, 2], state_file=state, progress=seen.append).values == ("1", "2")
        assert seen[0].done == 1
        assert state.read_bytes() == whole


def test_a_state_file_of_something_else_is_refused_before_anything_runs(tmp_path):
    def never(point):
        raise AssertionError("called")

    state = tmp_path / "state"
    ps.sweep(str, [1], state_file=state)
    with pytest.raises(
        ValueError, match=r"state_file: given .*, written with function 'builtins.str .*', expected .*never"
    ):
        ps.sweep(never, [1], state_file=state)
    state.write_bytes(b"{}")
    with pytest.raises(ValueError, match=r"state_file: given .*, which is no state file"):
        ps.sweep(never, [1], state_file=state)
    state.write_bytes(pickle.dumps({"format": 1}))
    with pytest.raises(ValueError, match=r"state_file: given .*, which is no state file"):
        ps.sweep(never, [1], state_file=state)


@dataclasses.dataclass(frozen=True)
class Setting:
    gain: float
    sizes: tuple


def test_points_are_known_again_by_their_values_and_by_nothing_else():
    same = [
        (1.5, np.float64(1.5)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (np.arange(3.0), jnp.arange(3.0)),
        (Setting(0.5, (1, 2)), Setting(0.5, (1, 2))),
        (jax.random.key(1), jax.random.key(1)),
    ]
    others = [1, 1.0, True, "1", b"1", None, (1,), [1], ((1,), 2), (1, (2,)), {"a": 1}, {"a": 2}]
    others += [np.zeros(2), np.zeros((2, 1)), np.zeros(2, np.float32), jax.random.key(1), jax.random.key(2)]
    others += [Setting(0.5, (1, 2)), Setting(0.5, (1, 3))]
    for one, other in same:
        assert digest_of_point(one, "points[0]") == digest_of_point(other, "points[0]")
    assert len({digest_of_point(each, "points[0]") for each in others}) == len(others)


@pytest.mark.parametrize(
    ("function", "points", "options", "text"),
    [
        (3, [1], {}, "function: given int, expected a function of one point"),
        (str, 3, {}, "points: given int, expected a sequence of points"),
        (str, {"gain": [1.0]}, {}, r"points: given dict, .* found by ps\.sweep_parameters"),
        (str, "abc", {}, "points: given str"),
        (str, [1], {"executor": map}, r"executor: given type, expected a concurrent\.futures\.Executor"),
        (str, [1], {"at_once": 0}, "at_once: given 0"),
        (str, [1], {"state_file": 3}, "state_file: given int, expected the path of a file"),
        (str, [1], {"progress": 3}, "progress: given int, expected a function"),
        (
            str,
            [1, (2, {"f": str})],
            {"state_file": "x"},
            r"points\[1\]\[1\]\['f'\]: given type, by which no state file",
        ),
    ],
)
def test_bad_input_is_refused(tmp_path, monkeypatch, function, points, options, text):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((TypeError, ValueError), match=text):
        ps.sweep(function, points, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_state_file_tells_functions_apart_that_share_a_name(tmp_path):
    """Values of another function came back without a word: of lambdas, callable objects and bound methods."""
    pairs = {
        "lambdas": (lambda point: point + 1, lambda point: point * 10),
        "closures": (added(1), added(2)),
        "objects": (Added(1), Added(2)),
        "methods": (Added(1).again, Added(2).again),
    }
    for name, (one, other) in pairs.items():
        path = tmp_path / name
        assert ps.sweep(one, [1, 2], state_file=path).values == tuple(map(one, [1, 2]))
        assert ps.sweep(one, [1, 2], state_file=path).values == tuple(map(one, [1, 2]))
        with pytest.raises(ValueError, match="Remove the file to start anew"):
            ps.sweep(other, [1, 2], state_file=path)


def added(number):
    return lambda point: point + number


class Added:
    """An object that is called."""

    def __init__(self, number):
        self.number = number

    def __call__(self, point):
        return point + self.number

    def again(self, point):
        return point + self.number


def test_a_state_file_of_single_precision_is_refused_in_double(tmp_path):
    def value(point):
        return float(jnp.asarray(point, float))

    ps.sweep(value, [0.7], state_file=tmp_path / "values")
    with jax.enable_x64(False), pytest.raises(ValueError, match="floats"):
        ps.sweep(value, [0.7], state_file=tmp_path / "values")


def test_points_of_other_kinds_are_other_points():
    kinds = [0.0, 0, np.float32(0.0), np.int8(0), "0.0", None]
    assert len({digest_of_point(point, "points[0]") for point in kinds}) == len(kinds)


def refuse():
    raise RuntimeError("not read again")


class Unreadable:
    """It can be pickled, but not unpickled."""

    def __reduce__(self):
        return refuse, ()


def test_a_value_that_cannot_be_read_again_is_a_failure_of_its_point(tmp_path):
    def value(point):
        return Unreadable() if point == 2 else point

    for _ in range(2):
        found = ps.sweep(value, [1, 2, 3], state_file=tmp_path / "values")
        assert found.values == (1, None, 3)
        assert "cannot be kept in a file" in found.failed[0][1]


def test_a_point_that_exits_does_not_stop_the_others():
    found = ps.sweep(lambda point: sys.exit("bad option") if point == 2 else point, [1, 2, 3])
    assert found.values == (1, None, 3)
    assert "bad option" in found.failed[0][1]
