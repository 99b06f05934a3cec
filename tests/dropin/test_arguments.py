"""Every argument of ``scan`` and ``rollout`` changes something or is refused, whatever the solver."""

import functools
import inspect
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import exhaustive, fewer
from parascan.planning import Plan

T, D = 20_000, 16
WEIGHTS = (np.random.default_rng(0).standard_normal((D, D)) * 0.4 / D**0.5).astype("float32")
INIT, XS = jnp.zeros(D), jnp.ones((T, D))
PLANNED = "a plan"

SOLVERS = {
    "default": None,
    "chunks": ps.Chunked(chunks=16),
    "sequential": ps.Sequential(),
    "newton": ps.deer(),
    "blocks": ps.MultipleShooting(ps.deer(), 10),
    "guarded": ps.WithFallback(ps.deer(), budget=5),
}
ITERATE = {"newton", "blocks", "guarded"}
VALUES = {
    "length": T - 1,
    "reverse": True,
    "unroll": 2,
    "criterion": ps.StateError(rtol=1e-2),
    "max_iterations": 3,
    "guess": ps.guesses.Zeros(),
    "adjoint": ps.Unrolled(),
    "history": True,
    "memory_limit": 1000,
    "certify": True,
    "throw": False,
}
GUESS = {"guess": ps.guesses.Uniform(jax.random.key(0), -1.0, 1.0)}
SAME = {("scan", "throw", name): "nothing that does not iterate can fail in scan" for name in set(SOLVERS) - ITERATE}
SAME |= {("scan", "unroll", name): "a hint of jax.lax.scan, documented as one" for name in ITERATE}


@functools.cache
def plan():
    """A plan that takes no diagnosis."""
    return ps.plan(count, jnp.asarray(0), length=10)


def count(s, _):
    return s + 1


def step(carry, x):
    carry = jnp.tanh(WEIGHTS @ carry + x)
    return carry, carry


def program(entry, **options):
    """The text of the program that a call becomes."""
    call = getattr(ps, entry)
    text = str(jax.make_jaxpr(lambda init, xs: jax.tree.leaves(call(step, init, xs, **options)))(INIT, XS))
    return re.sub(r"0x[0-9a-f]+", "", text)


def outcome(entry, **options):
    """The program of a call, or the error that it is refused with."""
    try:
        return program(entry, **options)
    except ValueError as error:
        return error


def arguments(entry):
    return list(inspect.signature(getattr(ps, entry)).parameters)[3:]


@pytest.fixture(scope="module")
def plain():
    """Programs of calls without further arguments."""
    found = {}

    def of(entry, name):
        if (entry, name) not in found:
            given = GUESS if name in ITERATE else {}
            found[entry, name] = program(entry, solver=SOLVERS[name], **given)
        return found[entry, name]

    return of


def test_the_same_call_is_the_same_program():
    assert program("scan", solver=ps.deer(), **GUESS) == program("scan", solver=ps.deer(), **GUESS)


def test_every_argument_has_a_value_here():
    known = {*VALUES, "solver", "mesh"}
    assert set(arguments("scan")) | set(arguments("rollout")) == known


CALLS = list(itertools.product(["scan", "rollout"], SOLVERS))
BY_DEFAULT = [("scan", "default"), ("rollout", "newton")]
"""One call that does not iterate and one that does, in which every argument has its turn."""


@pytest.mark.parametrize(("entry", "name"), BY_DEFAULT + exhaustive(call for call in CALLS if call not in BY_DEFAULT))
def test_an_argument_changes_the_call_or_is_refused(entry, name, plain):
    before = plain(entry, name)
    for argument in set(VALUES) & set(arguments(entry)):
        options = {**(GUESS if name in ITERATE else {}), "solver": SOLVERS[name], argument: VALUES[argument]}
        if argument == "adjoint" and name in ITERATE:
            options["max_iterations"] = 3
        after = outcome(entry, **options)
        if isinstance(after, ValueError):
            assert re.search(rf"\b{argument}: given|xs, length: given", str(after))
        elif (entry, argument, name) not in SAME:
            assert after != before, f"{argument} is accepted by {name} and ignored"


@pytest.mark.parametrize("name", fewer(SOLVERS, "guarded", "blocks"))
def test_a_mesh_spreads_every_solver(name, plain):
    assert "shard_map" in program("scan", solver=SOLVERS[name], mesh=jax.make_mesh((2,), ("time",)))


@pytest.mark.parametrize("name", ["criterion", "max_iterations", "guess", "history"])
@pytest.mark.parametrize("solver", [None, ps.Chunked(), ps.Sequential(), PLANNED], ids=lambda s: type(s).__name__)
def test_what_only_iterations_use_is_refused_with_a_solver_that_uses_it(solver, name):
    solver = plan() if solver is PLANNED else solver
    given = solver.solver if isinstance(solver, Plan) else solver
    assert given is None or not given.iterates
    value = {"guess": ps.guesses.Zeros(), **VALUES}[name]
    with pytest.raises(ValueError, match=rf"{name}: given together with .* expected None, or a solver .*ps.deer"):
        ps.rollout(count, jnp.asarray(0), length=10, solver=solver, **{name: value})


def test_implicit_is_what_the_default_does_and_changes_the_sequential_derivative():
    def gradient(**options):
        loss = lambda xs: jnp.sum(ps.scan(step, INIT, xs, **options)[1])  # noqa: E731
        return str(jax.make_jaxpr(jax.grad(loss))(XS))

    assert "scan" in gradient(adjoint=ps.Implicit())
    assert gradient(solver=ps.Sequential(), adjoint=ps.Implicit()) != gradient(solver=ps.Sequential())
    for solver in (None, ps.Sequential(), ps.Chunked()):
        with pytest.raises(ValueError, match=r"adjoint: given Unrolled\(\) together with"):
            ps.scan(step, INIT, XS, solver=solver, adjoint=ps.Unrolled())


def test_unroll_asks_for_the_plain_loop_by_default_and_only_there():
    for unroll in (4, True):
        carry, _ = ps.scan(step, INIT, XS[:8], unroll=unroll)
        np.testing.assert_allclose(carry, jax.lax.scan(step, INIT, XS[:8])[0])
    assert "while" not in program("scan", unroll=4)
    with pytest.raises(ValueError, match="unroll: given 4 with Chunked, whose 16 chunks"):
        ps.scan(step, INIT, XS, unroll=4, solver=ps.Chunked(chunks=16))
    assert program("scan", unroll=4, solver=ps.deer()) == program("scan", solver=ps.deer())
    assert program("scan", unroll=False) == program("scan")
    with pytest.raises(ValueError, match="unroll: given 0, expected one or more"):
        ps.scan(step, INIT, XS, unroll=0)
    with pytest.raises(TypeError, match=r"unroll: given 2.5, expected an integer"):
        ps.scan(step, INIT, XS, unroll=2.5)


def test_chunks_that_were_asked_for_run_or_are_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"solver: given Chunked\(chunks=16\), but it is short"):
        ps.rollout(step, INIT, XS[:8], solver=ps.Chunked(chunks=16))
    with pytest.raises(ValueError, match=r"Chunked\(chunks=4\), but its carry has no floating leaf"):
        ps.scan(lambda n, _: (n + 1, n), jnp.asarray(0), length=100, solver=ps.Chunked(chunks=4))

    def seen(carry, x):
        jax.debug.callback(lambda _: None, x[0])
        return step(carry, x)

    with pytest.raises(ValueError, match=r"Chunked\(chunks=4\), but it has side effects"):
        ps.scan(seen, INIT, XS, solver=ps.Chunked(chunks=4))
    assert isinstance(ps.rollout(step, INIT, XS[:8], solver=ps.Chunked()).solver, ps.Sequential)


def test_no_step_is_no_reason_to_refuse_chunks():
    carry, ys = ps.scan(step, INIT, XS[:0], solver=ps.Chunked(chunks=16))
    np.testing.assert_array_equal(carry, INIT)
    assert ys.shape == (0, D)


@pytest.mark.parametrize("solver", [None, ps.Sequential(), ps.Chunked(chunks=16)], ids=lambda s: type(s).__name__)
def test_a_memory_limit_holds_for_solvers_that_do_not_iterate(solver):
    with pytest.raises(ValueError, match=r"memory_limit: given 1 kB, but \w+ on 20000 steps holds about .*ps.stream"):
        ps.rollout(step, INIT, XS, solver=solver, memory_limit=1000)
    assert program("rollout", solver=solver, memory_limit=2**30) == program("rollout", solver=solver)


def test_two_meshes_are_one_too_many():
    meshes = [jax.make_mesh((count,), ("time",)) for count in (2, 4)]
    with pytest.raises(ValueError, match="mesh: given together with a Chunked of another mesh"):
        ps.scan(step, INIT, XS, solver=ps.Chunked(mesh=meshes[0]), mesh=meshes[1])
    same = program("scan", solver=ps.Chunked(mesh=meshes[0]), mesh=meshes[0])
    assert same == program("scan", mesh=meshes[0])


COUNTERS = ("events", "last event", "toggle")
CUTS = ((None, 200_000), (8, 1000), (np.int64(8), 1000), (jnp.asarray(8), 200_000))


@pytest.mark.parametrize(
    ("name", "blocks", "length"),
    [
        *((name, None, 200_000) for name in COUNTERS),
        *(("events", *cut) for cut in CUTS[1:]),
        *exhaustive((name, *cut) for name in COUNTERS[1:] for cut in CUTS[1:]),
        *exhaustive((name, blocks, 201_000 - length) for name in COUNTERS for blocks, length in CUTS),
    ],
)
def test_a_counter_that_depends_on_the_state_is_taken_with_any_number_of_blocks(name, blocks, length):
    moved = lambda s, x: jnp.tanh(0.5 * s + x)  # noqa: E731
    counts = {
        "events": lambda n, s: n + (s[0] > 0),
        "last event": lambda n, s: jnp.where(s[0] > 0, 0, n + 1),
        "toggle": lambda n, s: jnp.where(s[0] > 0.9, 1 - n, n),
    }

    def step(c, x):
        s, n = moved(c[0], x), counts[name](c[1], c[0])
        return (s, n), (s, n)

    xs = jnp.asarray(np.random.default_rng(0).normal(size=(length, 2)), jnp.float32)
    init = jnp.zeros(2), jnp.asarray(0)
    solver = ps.Chunked(chunks=blocks)
    jax.tree.map(np.testing.assert_array_equal, ps.scan(step, init, xs, solver=solver), jax.lax.scan(step, init, xs))
    solution = ps.rollout(step, init, xs, solver=solver)
    assert bool(solution.stats.fell_back) == (blocks is not None)
    assert "depends on floating leaves" in str(ps.explain(step, init, xs, solver=solver))
