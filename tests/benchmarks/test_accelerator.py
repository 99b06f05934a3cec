"""What is counted of compiled programs, the model, and the script that measures on an accelerator, at toy size."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks.accelerator import measure, table
from benchmarks.accelerator.cases import default_turns, gru
from benchmarks.accelerator.counts import Counts, Program
from benchmarks.accelerator.model import CONSTANTS, Rows, forecast

PROGRAM = """
%fused (p: f32[100,8], i: s32[]) -> f32[1,8] {
  %p = f32[100,8]{1,0} parameter(0)
  %i = s32[] parameter(1)
  %as = f32[100,8]{1,0} bitcast(%p)
  ROOT %row = f32[1,8]{1,0} dynamic-slice(%as, %i, %i), dynamic_slice_sizes={1,8}
}

%put (room: f32[100,8], row: f32[1,8], i: s32[]) -> f32[100,8] {
  %room = f32[100,8]{1,0} parameter(0)
  %row.1 = f32[1,8]{1,0} parameter(1)
  %i.1 = s32[] parameter(2)
  ROOT %all = f32[100,8]{1,0} dynamic-update-slice(%room, %row.1, %i.1, %i.1)
}

%body (t: (s32[], f32[100,8])) -> (s32[], f32[100,8]) {
  %t = (s32[], f32[100,8]{1,0}) parameter(0)
  %n = s32[] get-tuple-element(%t), index=0
  %a = f32[100,8]{1,0} get-tuple-element(%t), index=1
  %taken = f32[1,8]{1,0} fusion(%a, %n), kind=kLoop, calls=%fused
  %w = f32[8,8]{1,0} constant({...})
  %product = f32[1,8]{1,0} dot(%taken, %w), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  %b = f32[100,8]{1,0} fusion(%a, %product, %n), kind=kLoop, calls=%put
  ROOT %r = (s32[], f32[100,8]{1,0}) tuple(%n, %b)
}

%condition (t.1: (s32[], f32[100,8])) -> pred[] {
  %t.1 = (s32[], f32[100,8]{1,0}) parameter(0)
  %n.1 = s32[] get-tuple-element(%t.1), index=0
  ROOT %less = pred[] compare(%n.1, %n.1), direction=LT
}

%short (t.2: (s32[], f32[100,8])) -> (s32[], f32[100,8]) {
  %t.2 = (s32[], f32[100,8]{1,0}) parameter(0)
  ROOT %some = (s32[], f32[100,8]{1,0}) while(%t.2), condition=%condition, body=%body, NAMED
}

%long (t.3: (s32[], f32[100,8])) -> (s32[], f32[100,8]) {
  %t.3 = (s32[], f32[100,8]{1,0}) parameter(0)
  ROOT %all.1 = (s32[], f32[100,8]{1,0}) while(%t.3), condition=%condition, body=%body, KNOWN
}

ENTRY %main (x: f32[100,8], flag: pred[]) -> (s32[], f32[100,8]) {
  %x = f32[100,8]{1,0} parameter(0)
  %flag = pred[] parameter(1)
  %zero = s32[] constant(0)
  %start = (s32[], f32[100,8]{1,0}) tuple(%zero, %x)
  ROOT %out = (s32[], f32[100,8]{1,0}) conditional(%flag, %start, %start), WAYS
}
"""
for word, text in (
    ("NAMED", 'metadata={op_name="jit(f)/runs/while"}'),
    ("KNOWN", 'backend_config={"known_trip_count":{"n":"100"}}'),
    ("WAYS", "true_computation=%short, false_computation=%long"),
):
    PROGRAM = PROGRAM.replace(word, text)

TAKEN, PRODUCT, PUT = 2 * 32 + 4, 2 * 32 + 256, 2 * 32 + 4
"""Bytes of a turn's kernels: of an array that is read or written in part, that part counts."""


def test_kernels_bytes_and_operations_are_those_of_the_turns():
    turn = Counts(3, 0, TAKEN + PRODUCT + PUT, 2 * 8 * 8)
    condition = Counts(1, 1, 9, 0)
    long = Counts().plus(turn, 100).plus(Counts(reads=1))
    short = Counts().plus(turn, 5).plus(condition, 6).plus(Counts(reads=1))
    assert Program(PROGRAM, {"runs/while": 5}).total == long
    assert Program(PROGRAM, {"runs/while": 5}, avoided=100).total == short


def test_a_loop_that_nobody_tells_of_is_refused():
    with pytest.raises(
        ValueError, match=r"nothing is known of the loop 'jit\(f\)/runs/while', expected one of \['other'\]"
    ):
        _ = Program(PROGRAM, {"other": 5}).total


def test_programs_as_compiled_here_are_understood():
    """On a CPU the text has the same form, with other kernels."""
    w = jnp.ones((300, 300))

    def run(xs):
        return jax.lax.scan(lambda s, x: (jnp.sin(w @ s + x),) * 2, jnp.zeros(300), xs)[1]

    counts = Program(jax.jit(run).lower(jnp.ones((50, 300))).compile().as_text(), {"while": 50}).total
    assert counts.launches >= 100
    assert counts.bytes > 50 * w.nbytes


def test_the_longer_of_waiting_and_working_is_forecast():
    assert forecast(Counts(4e5, 0, 1e3, 1e3)) == pytest.approx(4e5 * CONSTANTS["launch"])
    assert forecast(Counts(1, 1, 3.35e12, 6.7e13)) == pytest.approx(2)


def test_rows_inside_of_kernels_come_on_top():
    alone = CONSTANTS["operations"] / CONSTANTS["processors"]
    found = forecast(Counts(4, 0, 1e3, 1e3), rows=Rows(100, alone / 1e6))
    assert found == pytest.approx(4 * CONSTANTS["launch"] + 100 * (CONSTANTS["row"] + 1e-6))


def test_turns_of_the_default_are_those_of_its_rows():
    """A kernel takes the rows of a chunk, and those up to the junction again."""
    w = gru(4096)
    turns, avoided, note, rows = default_turns(lambda s, x: (w.step(s, x),) * 2, w)
    chunks, block, horizon = (int(part) for part in note.replace(",", "").split() if part.isdigit())
    assert (avoided, chunks * block) == (None, 4096)
    assert rows.count == block + horizon
    assert rows.operations == 2 * 16 * 3 * 64 * (16 + 64)
    assert turns["runs/while"] == 1
    assert 8 * turns["warm_up/while"] < horizon


def test_the_table_in_the_documentation_is_that_of_the_stored_counts():
    found = json.loads(table.STORE.read_text())
    assert table.written(found) in table.DOCUMENT.read_text()
    for each in found:
        counts = Counts(*(each[name] for name in Counts._fields))
        rows = Rows(each.get("rows", 0), each.get("operations_of_row", 0))
        assert each["seconds"] == pytest.approx(forecast(counts, rows=rows))
    launches = {each["method"]: each["launches"] for each in found if each["system"].startswith("GRU(64)")}
    assert launches["jax.lax.scan"] >= 300 * launches["default"]


@pytest.mark.slow
def test_everything_is_measured_at_toy_size(tmp_path, capsys):
    before = jax.config.jax_enable_x64
    try:
        measure.main(["--toy", "--out", str(tmp_path / "found.json")])
    finally:
        jax.config.update("jax_enable_x64", before)
    record = json.loads((tmp_path / "found.json").read_text())
    assert record["left_out"] == []
    assert {each["row"] for each in record["measured"]} == {0, 1, 2, 4, 5, 8, 9}
    assert all(np.isfinite(each["seconds"]) for each in record["measured"])
    assert "GRU(64)" in capsys.readouterr().out


class Slow:
    """A clock that only tasks move."""

    now = 0.0

    def __call__(self):
        return self.now


def test_what_would_end_too_late_is_left_out():
    clock = Slow()

    def task(name, seconds):
        def run(clock):
            clock.now += seconds
            yield measure.Measured(1, name, "default", seconds, None, "")

        return measure.Task(name, run)

    found, left = measure.run_all([task("a", 3.0), task("b", 1.0), task("c", 4.0), task("d", 1.0)], 8.0, clock)
    assert [each.system for each in found] == ["a", "b", "c"]
    assert left == ["d"]


def test_a_wrong_answer_is_not_timed(monkeypatch):
    monkeypatch.setattr(measure.ps, "scan", lambda *args, **options: (None, jax.lax.scan(*args)[1] + 1e-2))
    with pytest.raises(AssertionError, match="small: default: error"):
        list(measure.of_system(4, "small", gru(20), (), 512, lambda: 0.0))
