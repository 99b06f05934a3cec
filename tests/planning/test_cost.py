"""The cost model: more work costs more, measured numbers replace modeled ones, and calibration is kept and found."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import pytest

import parascan as ps
from parascan.planning import Machine, built_in, cache_file, calibrate, calibration, known_machine
from parascan.planning.measure import measure_memory, measure_row, measure_step, measure_update
from parascan.planning.timing import seconds_of
from parascan.problem.flat_recurrence import ScanProblem
from parascan.problem.signature import resolve
from parascan.programs.built_in import here
from parascan.programs.cost import row_seconds, step_seconds
from parascan.programs.machine import Link
from parascan.solvers.evaluation_cost import (
    CALLS,
    StepCost,
    chunked_seconds,
    iterative_seconds,
    sequential_seconds,
    step_cost,
    update_seconds,
    workload_of,
)


def recurrence(size=4, length=4096):
    weights = 0.5 * jax.random.normal(jax.random.key(0), (size, size)) / size**0.5
    xs = jax.random.normal(jax.random.key(1), (length, size))

    def step(s, x):
        return jnp.tanh(weights @ s + x)

    return ScanProblem.of(resolve(step, jnp.zeros(size), xs, None, scan_form=False), reverse=False).recurrence


def workload(size=4, length=4096, **others):
    return workload_of(recurrence(size, length), "cpu")._replace(**others)


RATES = built_in("cpu")
STEP = StepCost(alone=1e-8, row=1e-7, chunk=2e-9, product=1e-9)


def test_sizes_are_read_off_the_step():
    found = workload(4)
    assert (found.length, found.size, found.columns, found.diagonal_columns) == (4096, 4, 4, 4)
    assert workload(16).work.operations > found.work.operations
    diagonal = ScanProblem.of(
        resolve(lambda s, x: 0.5 * jnp.tanh(s) + x, jnp.zeros(8), jnp.zeros((50, 8)), None, scan_form=False),
        reverse=False,
    ).recurrence
    assert workload_of(diagonal, "cpu").columns == 1


def test_times_follow_from_their_parts():
    w = workload()
    assert sequential_seconds(w, STEP, RATES) == pytest.approx(RATES.call + 4096 * 1e-8)
    # 64 rows of 64 chunks, and ten with the eight chunks that find out.
    expected = CALLS * RATES.call + 10 * (1e-7 + 72 * 2e-9) + 64 * (1e-7 + 64 * 2e-9)
    assert chunked_seconds(w, STEP, RATES, 64, 10) == pytest.approx(expected)
    links = RATES.links.sequential.seconds(4096, 4, 16)
    assert links == pytest.approx(4096 * (4.9e-9 + 16 * 2e-10))
    update = (1e-7 + 4096 * 2e-9) + 1e-7 + 4 * 1e-9 * 4096 + links
    assert update_seconds(w, STEP, RATES, ps.deer()) == pytest.approx(update)
    whole = CALLS * RATES.call + 3 * update + (1e-7 + 4096 * 2e-9)
    assert iterative_seconds(w, STEP, RATES, ps.deer(), 3) == pytest.approx(whole)


def test_what_linearizes_less_costs_less():
    w = workload()
    order = [ps.jacobi(), ps.picard(), ps.quasi_deer(), ps.deer(), ps.elk()]
    costs = [update_seconds(w, STEP, RATES, solver) for solver in order]
    assert costs == sorted(costs)
    # Jacobi's method takes each step once, and solves no recurrence.
    assert costs[0] == pytest.approx(STEP.row + 4096 * STEP.chunk)
    assert update_seconds(w, STEP, RATES, ps.MultipleShooting(ps.deer(), 64)) < costs[3] + 64 * 2 * STEP.row


@pytest.mark.parametrize("change", [{"length": 8192}, {"batch": 4}])
def test_more_steps_cost_more(change):
    for cost in (
        lambda w: sequential_seconds(w, STEP, RATES),
        lambda w: chunked_seconds(w, STEP, RATES, 64, 10),
        lambda w: update_seconds(w, STEP, RATES, ps.deer()),
    ):
        assert cost(workload(**change)) > cost(workload())


def test_larger_steps_cost_more():
    small, large = (step_cost(workload(size), RATES) for size in (4, 64))
    assert large.alone > small.alone
    assert large.chunk > small.chunk


def test_measured_steps_are_positive_and_marked():
    problem = recurrence()
    found = measure_step(problem, RATES)
    assert found.measured
    assert found.alone > 0
    assert found.chunk > 0
    assert found.row >= 0
    assert measure_row(problem, RATES, 8) > 0
    assert measure_update(problem, RATES, workload(), ps.deer()) > 0
    assert measure_update(problem, RATES, workload(), ps.MultipleShooting(ps.deer(), 32)) > 0


def test_memory_is_measured_by_copies_that_meet():
    forgets = measure_memory(recurrence())
    assert forgets.forgets
    # A factor of at most one half a step, down from one to rounding.
    assert 4 <= forgets.steps <= 40
    chaotic = resolve(lambda s, _: 3.9 * s * (1 - s), jnp.asarray(0.3), None, 4096, scan_form=False)
    assert not measure_memory(ScanProblem.of(chaotic, reverse=False).recurrence).forgets


def test_the_least_of_several_runs_counts():
    calls = []

    def program(x):
        calls.append(1)
        return x + 1

    assert 0 < seconds_of(program, jnp.ones(3)) < 1
    assert len(calls) == 1


def test_rates_survive_json_and_refuse_nonsense():
    for record in (RATES, here("cpu", double=True), RATES.known("calibrated", {"turn": 1e-8})):
        assert Machine.from_json(record.to_json()) == record
    assert hash(RATES) == hash(Machine.from_json(RATES.to_json()))
    with pytest.raises(ValueError, match="text: given a record whose fields are not a machine's"):
        Machine.from_json('{"form": 4, "call": 1}')
    for text in ('{"call": 1}', RATES.to_json().replace('"form": 4', '"form": 3')):
        with pytest.raises(ValueError, match="expected form 4: calibrate again"):
            Machine.from_json(text)
    for value in (-1.0, float("nan"), float("inf"), "3"):
        with pytest.raises(ValueError, match="turn: given"):
            dataclasses.replace(RATES, turn=value)
    for name in ("near_bytes", "vector_bytes", "gain"):
        with pytest.raises(ValueError, match=f"{name}: given 0"):
            dataclasses.replace(RATES, **{name: 0})
    with pytest.raises(ValueError, match=r"links\.sequential\.step: given -1"):
        dataclasses.replace(RATES, links=RATES.links._replace(sequential=Link(-1, 0)))


def test_unknown_platforms_count_as_accelerators_and_narrow_types_as_single():
    assert built_in("tpu") == built_in("gpu", double=True) != RATES != built_in("cpu", double=True)
    assert (
        known_machine("cpu", "bfloat16") == here("cpu") != known_machine("cpu", "float64") == here("cpu", double=True)
    )


def test_a_calibration_is_found_again_and_only_on_its_machine(tmp_path, monkeypatch):
    assert known_machine("cpu", "float32", tmp_path) == here("cpu")
    other = RATES.known("calibrated", {"turn": 1e-7})
    path = cache_file("cpu", "float32", tmp_path)
    path.write_text(other.to_json())
    assert known_machine("cpu", "float32", tmp_path) == other
    assert (other.origin, other.source("turn"), other.source("wait")) == ("calibrated", "calibrated", "built-in")
    for text in ("broken", other.to_json().replace('"form": 4', '"form": 3')):
        path.write_text(text)
        assert known_machine("cpu", "float32", tmp_path) == here("cpu")
    path.write_text(other.to_json())
    monkeypatch.setattr(jax, "__version__", "another")
    assert known_machine("cpu", "float32", tmp_path) == here("cpu")


def test_the_cache_is_where_the_user_wants_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_file("cpu", "float32").parent == tmp_path / "parascan"


def test_calibration_finds_the_numbers_that_times_were_made_of(monkeypatch):
    known = here("cpu")
    factors = {"small": 2.0, "beside": 2.2, "large": 1.4, "row": 3.0}
    changed = {
        rate: factors[name] * getattr(known, rate) for name, rates in calibration.GROUPS.items() for rate in rates
    }
    true = dataclasses.replace(known, **changed, gain=1.9, gain_near=1.1, pushforward=0.5)

    def row(problem, _, chunks):
        return row_seconds(workload_of(problem, "cpu").work, true, chunks)

    def seconds(program, *args):
        first = args[0]
        if len(args) == 1:
            return first.length * step_seconds(workload_of(first, "cpu").work, true)
        if hasattr(first, "coarse") or hasattr(first, "advance"):
            return calibration.ROWS * row(recurrence(4), true, calibration.CHUNKS[1]) * (1 + 4 * true.pushforward)
        length, size, _ = first.shape
        tree = length == calibration.TREE
        backend = "associative" if tree else "sequential"
        return true.call + getattr(true.links, backend).seconds(length, size, size**2)

    monkeypatch.setattr(calibration, "seconds_of", seconds)
    monkeypatch.setattr(calibration, "seconds_of_call", lambda _: true.call)
    monkeypatch.setattr(calibration, "measure_row", row)
    lines = []
    found = calibrate("float32", lines.append)
    assert len(lines) >= 8
    for name in ("call", "gain", "gain_near", "pushforward", *changed):
        assert getattr(found, name) == pytest.approx(getattr(true, name), rel=1e-6), name
        assert found.source(name) == "calibrated"
    for backend, link in found.links._asdict().items():
        assert link == pytest.approx(getattr(true.links, backend), rel=1e-6)
    assert found.source("near_bytes") == here("cpu").source("near_bytes")


def test_double_precision_is_calibrated_where_it_is_enabled():
    with pytest.raises(ValueError, match="dtype: given float64"):
        calibrate("float64")


@pytest.mark.slow
def test_calibration_measures_every_rate():
    found = calibrate()
    assert found.call > 0
    assert found.turn + found.operation > 0
    assert found.move + found.vectorized > 0
    json.loads(found.to_json())
