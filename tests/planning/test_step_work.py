"""What a step computes is counted as often as it is done, and costs what the machine's record says."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from parascan.programs import hardware
from parascan.programs.built_in import built_in, here
from parascan.programs.cost import full_use, near, row_seconds, step_seconds
from parascan.programs.turns import turns_of
from parascan.programs.work import Work, as_work, counted, operations

S = jnp.ones(3)
CPU = built_in("cpu")


def body(s):
    return jnp.tanh(s) * 0.5 + 0.1


def work(step, *args):
    return operations(jax.make_jaxpr(step)(*(args or (S,))))


ONE = work(body)


def while_below(count, first=0, each=1):
    def step(s):
        return jax.lax.while_loop(lambda c: c[0] < count, lambda c: (c[0] + each, body(c[1])), (first, s))[1]

    return step


LOOPS = {
    "fori_loop": (50, lambda s: jax.lax.fori_loop(0, 50, lambda _, s: body(s), s)),
    "fori_loop of arrays": (50, lambda s: jax.lax.fori_loop(jnp.int32(10), jnp.int32(60), lambda _, s: body(s), s)),
    "nested": (
        60,
        lambda s: jax.lax.fori_loop(0, 5, lambda _, s: jax.lax.fori_loop(0, 12, lambda _, s: body(s), s), s),
    ),
    "scan": (50, lambda s: jax.lax.scan(lambda s, _: (body(s), None), s, length=50)[0]),
    "scan in a jit": (50, lambda s: jax.jit(lambda s: jax.lax.scan(lambda s, _: (body(s), None), s, length=50)[0])(s)),
    "while": (50, while_below(50)),
    "while by threes": (17, while_below(50, each=3)),
    "while from ten": (40, while_below(50, first=10)),
    "while up to": (
        51,
        lambda s: jax.lax.while_loop(lambda c: c[0] <= 50, lambda c: (1 + c[0], body(c[1])), (0, s))[1],
    ),
    "while within a scan": (
        200,
        lambda s: jax.lax.scan(lambda s, _: (while_below(50)(s), None), s, length=4)[0],
    ),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops_count_as_often_as_they_turn(name):
    """Counting and comparing the counter are operations, too, two or three of a turn."""
    turns, step = LOOPS[name]
    assert turns * ONE <= work(step) <= turns * (ONE + 3) + 10
    assert counted(jax.make_jaxpr(step)(S)).turns >= turns


UNKNOWN = {
    "until it is small": lambda s: jax.lax.while_loop(lambda s: jnp.max(s) > 0.3, body, s),
    "as often as the state says": lambda s: jax.lax.fori_loop(0, jnp.int32(s[0]), lambda _, s: body(s), s),
    "backwards": lambda s: jax.lax.while_loop(lambda c: c[0] < 9, lambda c: (c[0] - 1, body(c[1])), (0, s))[1],
    "in leaps": lambda s: jax.lax.while_loop(lambda c: c[0] < 9, lambda c: (2 * c[0], body(c[1])), (1, s))[1],
    "never the same bound": lambda s: jax.lax.while_loop(
        lambda c: c[0] < c[1], lambda c: (c[0] + 1, c[1] + 1, body(c[2])), (0, 9, s)
    )[2],
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_loop_that_does_not_tell_counts_once(name):
    program = jax.make_jaxpr(UNKNOWN[name])(S)
    loop = next(eqn for eqn in program.jaxpr.eqns if eqn.primitive.name == "while")
    assert turns_of(loop) is None
    assert ONE <= operations(program) <= ONE + 12


def test_no_turn_is_no_work():
    assert work(while_below(0)) == 0
    assert work(while_below(5, first=9)) == 0


def test_substeps_take_as_long_as_they_are_many():
    """A step of 50 substeps takes about 50 of them, each with a turn of its own loop."""

    def seconds(step):
        return step_seconds(counted(jax.make_jaxpr(step)(S), 3), CPU)

    one, many = seconds(body), seconds(LOOPS["fori_loop"][1])
    assert 49 * one < many < 55 * one


def test_what_is_known_by_its_operations_alone_is_a_large_step():
    assert as_work(7) == Work(operations=7.0)
    assert as_work(Work(operations=3.0, small=True)).small
    assert step_seconds(as_work(500), CPU) == pytest.approx(CPU.turn_large + 500 * CPU.operation)


@pytest.mark.parametrize("name", ["near_bytes", "vector_bytes", "turn_large", "operation", "row", "gain"])
def test_every_kind_of_number_counts(name):
    """Twice a number of the record is another time, or another kind of step."""
    large = as_work(20_500 if name == "near_bytes" else 900)
    changed = dataclasses.replace(CPU, **{name: 2 * getattr(CPU, name)})

    def facts(machine):
        times = (step_seconds(large, machine), row_seconds(large, machine, 8))
        return (near(large, machine), full_use(machine), *times)

    assert facts(CPU) != facts(changed)


def test_the_system_is_asked_and_what_it_does_not_tell_is_built_in(monkeypatch, tmp_path):
    monkeypatch.setattr(hardware, "CACHES", tmp_path)
    monkeypatch.setattr(hardware, "PROCESSOR", tmp_path / "none")
    monkeypatch.setattr(hardware.os, "sysconf_names", {}, raising=False)
    monkeypatch.setattr(hardware.platform, "machine", lambda: "unheard of")
    assert set(hardware.detected.__wrapped__()) == {"cores"}
    for name, values in {
        "index0": ("1", "Data", "48K", "12"),
        "index1": ("1", "Instruction", "32K", "8"),
        "index2": ("2", "Unified", "2048K", "16"),
        "index3": ("3", "Unified", "30M", "15"),
        "index4": ("", "", "", ""),
    }.items():
        (tmp_path / name).mkdir()
        for part, value in zip(("level", "type", "size", "ways_of_associativity"), values, strict=True):
            (tmp_path / name / part).write_text(f"{value}\n")
    (tmp_path / "none").write_text("model name\t: Some Processor\nflags\t\t: fpu sse2 avx avx512f\n")
    found = hardware.detected.__wrapped__()
    expected = {"near_bytes": 48 * 2**10, "near_ways": 12, "far_bytes": 30 * 2**20, "vector_bytes": 32}
    assert {name: found[name] for name in expected} == expected
    assert hardware.processor() == "Some Processor"
    monkeypatch.setattr(hardware.platform, "machine", lambda: "arm64")
    (tmp_path / "none").write_text("")
    assert hardware.detected.__wrapped__()["vector_bytes"] == 16


def test_what_the_system_tells_is_marked_and_believed_only_within_reason(monkeypatch):
    told = {"near_bytes": 0, "near_ways": 8, "far_bytes": 2**40}
    monkeypatch.setattr(hardware, "_from_files", lambda: told)
    assert "near_bytes" not in hardware.detected.__wrapped__()
    assert "far_bytes" not in hardware.detected.__wrapped__()
    assert here("cpu").source("cores") == "detected"
    assert here("cpu").source("turn") == "built-in"
    assert here("cpu").origin == "detected"
    assert built_in("cpu").origin == here("gpu").origin == "built-in"
