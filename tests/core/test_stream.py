"""Streams: the same trajectory as at once, exact windows, resumption to the last bit, constant memory."""

import itertools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import exhaustive

WEIGHTS = 0.6 * np.random.default_rng(0).standard_normal((3, 3)).astype("float32") / 3**0.5
XS = np.random.default_rng(1).standard_normal((170, 3)).astype("float32")


def step(state, x):
    return jnp.tanh(WEIGHTS @ state + x)


def counting(carry, x):
    state = jnp.tanh(WEIGHTS @ carry["state"] + x)
    return {"state": state, "count": carry["count"] + 1}, (state[0], carry["count"])


INIT = {"state": jnp.zeros(3), "count": jnp.asarray(0)}
REFERENCE, OUTPUTS = jax.lax.scan(
    lambda c, x: (counting(c, x)[0], (counting(c, x)[0]["state"], counting(c, x)[1])), INIT, XS
)[1]


def collected(pieces):
    """All states, and the start of every piece."""
    pieces = list(pieces)
    return np.concatenate([piece.states for piece in pieces]), [piece.start for piece in pieces]


def in_chunks(sizes):
    """The inputs in chunks of these sizes, over and over."""
    start = 0
    for size in itertools.cycle(sizes):
        if start >= len(XS):
            return
        yield XS[start : start + size]
        start += size


@pytest.mark.parametrize("solver", [None, ps.deer(), *exhaustive([(ps.MultipleShooting(ps.jacobi(), 7),)])])
def test_pieces_are_the_trajectory(solver):
    states, starts = collected(ps.stream(step, jnp.zeros(3), XS, window=50, solver=solver))
    assert starts == [0, 50, 100, 150]
    np.testing.assert_allclose(states, REFERENCE, atol=4e-6)


@pytest.mark.parametrize("sizes", [(1, 7, 64), (500,)])
def test_an_iterator_gives_the_same_bits_as_arrays(sizes):
    options = {"window": 50, "solver": ps.deer()}
    whole, _ = collected(ps.stream(step, jnp.zeros(3), XS, **options))
    given, _ = collected(ps.stream(step, jnp.zeros(3), in_chunks(sizes), **options))
    np.testing.assert_array_equal(given, whole)


def test_a_window_that_does_not_converge_moves_by_its_exact_prefix():
    pieces = list(ps.stream(step, jnp.zeros(3), XS, window=50, solver=ps.jacobi(), max_iterations=5))
    assert [piece.start for piece in pieces] == list(
        itertools.accumulate([len(p.states) for p in pieces[:-1]], initial=0)
    )
    assert {piece.iterations for piece in pieces} <= set(range(6))
    # The tail of one window is the guess of the next: it takes far fewer iterations than one a step.
    assert len(pieces) > len(XS) // 50 + 1
    assert sum(piece.iterations for piece in pieces) < len(XS) / 2
    np.testing.assert_allclose(np.concatenate([p.states for p in pieces]), REFERENCE, atol=4e-6)


def test_trees_counters_and_outputs():
    seen = []
    pieces = list(ps.stream(counting, INIT, XS, window=64, progress=lambda done, total: seen.append((done, total))))
    np.testing.assert_allclose(np.concatenate([p.ys[0] for p in pieces]), OUTPUTS[0], atol=4e-6)
    np.testing.assert_array_equal(np.concatenate([p.ys[1] for p in pieces]), OUTPUTS[1])
    assert int(pieces[-1].carry["count"]) == len(XS)
    assert seen == [(64, 170), (128, 170), (170, 170)]


def test_no_inputs_but_a_length():
    states, starts = collected(ps.stream(lambda s, _: 0.5 * s + 1, jnp.ones(2), length=25, window=10))
    assert starts == [0, 10, 20]
    np.testing.assert_allclose(states[-1], 2.0, rtol=1e-6)


class StoppedError(Exception):
    """What ends a stream in the middle of things."""


@pytest.mark.parametrize("arrays", [True, False])
def test_stopped_at_ten_moments_and_resumed_it_ends_with_the_same_bits(arrays, tmp_path):
    options = {"window": 40, "solver": ps.deer(), "max_iterations": 2}
    inputs = lambda: XS if arrays else in_chunks((13,))  # noqa: E731
    whole, _ = collected(ps.stream(step, jnp.zeros(3), inputs(), **options))
    room, moments = np.full_like(whole, np.nan), np.random.default_rng(int(arrays))

    def stop(done, total):
        if moments.random() < 0.3:
            raise StoppedError

    for stops in itertools.count():
        finished, patience = True, int(moments.integers(1, 4)) if stops < 10 else 1000
        try:
            callback = stop if stops < 10 else None
            for piece in ps.stream(
                step, jnp.zeros(3), inputs(), state_file=tmp_path / "state", progress=callback, **options
            ):
                room[piece.start : piece.start + len(piece.states)] = piece.states
                patience -= 1
                if patience == 0:
                    finished = False
                    break
        except StoppedError:
            finished = False
        if finished:
            break
    assert stops >= 5
    np.testing.assert_array_equal(room, whole)


def test_a_state_file_of_another_stream_or_a_torn_one_is_refused(tmp_path):
    path = tmp_path / "state"
    list(ps.stream(step, jnp.zeros(3), XS, window=50, state_file=path))
    assert list(ps.stream(step, jnp.zeros(3), XS, window=50, state_file=path)) == []
    with pytest.raises(ValueError, match="written with window 50, expected 60"):
        ps.stream(step, jnp.zeros(3), XS, window=60, state_file=path)
    with pytest.raises(ValueError, match="written with solver"):
        ps.stream(step, jnp.zeros(3), XS, window=50, solver=ps.deer(), state_file=path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="no state file"):
        ps.stream(step, jnp.zeros(3), XS, window=50, state_file=path)


def others():
    """Calls that differ from the one that wrote the state file in data or initial state alone."""
    changed, moved, start = XS.copy(), XS.copy(), jnp.full(3, 0.5)
    changed[0, 0] += 1e-3
    moved[47, 2] = -moved[47, 2]
    swapped = XS.copy()
    swapped[[10, 11]] = swapped[[11, 10]]
    return {
        "init": ((start, XS), "another init"),
        "zero": ((-jnp.zeros(3), XS), "another init"),
        "first row": ((jnp.zeros(3), changed), "other inputs: the first 50 rows"),
        "late row": ((jnp.zeros(3), moved), "other inputs"),
        "order": ((jnp.zeros(3), swapped), "other inputs"),
        "iterator": ((jnp.zeros(3), iter([changed[:7], changed[7:]])), "other inputs"),
    }


@pytest.mark.parametrize("case", others())
def test_a_state_file_of_other_data_or_another_start_is_refused(case, tmp_path):
    (start, xs), text = others()[case]
    path = tmp_path / "state"
    unbounded = case == "iterator"

    def pieces(start, xs):
        return ps.stream(step, start, xs, window=50, state_file=path)

    first = pieces(jnp.zeros(3), in_chunks((13,)) if unbounded else XS)
    assert [next(first).start, next(first).start] == [0, 50]
    with pytest.raises(ValueError, match=rf"state_file: given .*{text}.*remove the file"):
        pieces(start, xs)
    # Nothing was lost by the attempts.
    assert [piece.start for piece in pieces(jnp.zeros(3), in_chunks((13,)) if unbounded else XS)] == [50, 100, 150]


def test_rows_that_are_not_done_yet_may_change_and_chunks_may_differ(tmp_path):
    path, later = tmp_path / "state", XS.copy()
    later[60:] = 0.0
    first = ps.stream(step, jnp.zeros(3), in_chunks((13,)), window=50, state_file=path)
    assert [next(first).start, next(first).start] == [0, 50]
    resumed = ps.stream(step, jnp.zeros(3), iter(np.array_split(later, 9)), window=50, state_file=path)
    assert [piece.start for piece in resumed] == [50, 100, 150]


def test_random_keys_in_the_carry_are_part_of_the_start(tmp_path):
    def noisy(carry, _):
        key, state = carry
        key, now = jax.random.split(key)
        return key, 0.5 * state + jax.random.normal(now)

    run = lambda seed: ps.stream(  # noqa: E731
        noisy, (jax.random.key(seed), jnp.zeros(())), length=90, window=30, state_file=tmp_path / "state"
    )
    pieces = run(0)
    assert [next(pieces).start, next(pieces).start] == [0, 30]
    assert next(run(0)).start == 30
    with pytest.raises(ValueError, match="another init"):
        run(1)


@pytest.mark.parametrize("solver", [None, ps.deer(), ps.Sequential()])
@pytest.mark.parametrize("xs", [XS[:0], "chunk", "chunks", None])
def test_no_step_gives_what_scan_gives(xs, solver, tmp_path):
    given = {"chunk": iter([XS[:0]]), "chunks": iter([XS[:0], XS[:0]])}.get(xs, xs) if isinstance(xs, str) else xs
    of = counting if xs is not None else lambda c, _: (c, (c["state"][0], c["count"]))
    length = 0 if xs is None else None
    (piece,) = ps.stream(of, INIT, given, length, window=50, solver=solver, state_file=tmp_path / "state")
    expected = jax.lax.scan(of, INIT, None if xs is None else XS[:0], length=0)
    for mine, other in zip(jax.tree.leaves((piece.carry, piece.ys)), jax.tree.leaves(expected), strict=True):
        assert mine.shape == other.shape
        assert mine.dtype == other.dtype
        np.testing.assert_array_equal(mine, other)
    assert (piece.start, piece.iterations, piece.states["state"].shape) == (0, 0, (0, 3))


def test_empty_chunks_in_between_change_nothing():
    whole, starts = collected(ps.stream(step, jnp.zeros(3), XS, window=50))
    chunks = iter([XS[:0], XS[:20], XS[:0], XS[20:], XS[:0]])
    found, given = collected(ps.stream(step, jnp.zeros(3), chunks, window=50))
    np.testing.assert_array_equal(found, whole)
    assert starts == given


def test_memory_does_not_grow_with_the_length():
    pieces = ps.stream(step, jnp.zeros(3), (XS for _ in range(12)), window=100, solver=ps.deer())
    alive = [len(jax.live_arrays()) for _ in pieces]
    assert len(set(alive[1:])) == 1


def test_a_window_that_cannot_be_solved_names_the_step():
    bad = XS.copy()
    bad[120] = np.nan
    pieces = ps.stream(step, jnp.zeros(3), bad, window=50, solver=ps.deer())
    assert [next(pieces).start, next(pieces).start] == [0, 50]
    with pytest.raises(ps.RolloutError, match=r"after step 100.*step 21"):
        next(pieces)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"window": 0}, ValueError, "window: given 0"),
        ({"window": 2.0}, TypeError, "window: given 2.0"),
        ({"xs": None}, ValueError, "length: given None"),
        ({"xs": 3}, TypeError, "xs: given int"),
        ({"xs": iter([])}, ValueError, "xs: given an iterator without"),
        ({"xs": iter([1.0, np.ones((3, 3))])}, ValueError, "leading axes"),
        ({"progress": 3}, TypeError, "progress: given int"),
        ({"length": 3}, ValueError, "length says 3"),
        ({"step": 3}, TypeError, "step: given int"),
        ({"criterion": ps.Merit()}, ValueError, "criterion: given together with the default solver"),
    ],
)
def test_wrong_arguments_are_refused(changes, error, text):
    arguments = {"step": step, "init": jnp.zeros(3), "xs": XS, "window": 50, **changes}
    with pytest.raises(error, match=text):
        list(ps.stream(**arguments))


def test_traced_arguments_are_refused():
    with pytest.raises(TypeError, match=r"init, xs: given traced values, .*outside of jit"):
        jax.jit(lambda init: list(ps.stream(step, init, XS)))(jnp.zeros(3))
    with pytest.raises(TypeError, match=r"step: given traced values, .*outside of jit, vmap and grad"):
        jax.grad(lambda scale: len(list(ps.stream(lambda s, x: step(scale * s, x), jnp.zeros(3), XS))) * scale)(1.0)


KILLED = """
import sys
from pathlib import Path
import numpy as np, jax, jax.numpy as jnp, parascan as ps

folder = Path(sys.argv[1])
weights = 0.5 * np.random.default_rng(0).standard_normal((3, 3)).astype("float32")
xs = np.random.default_rng(1).standard_normal((30000, 3)).astype("float32")
out = np.memmap(folder / "states", "float32", "r+" if (folder / "states").exists() else "w+", shape=xs.shape)
print("started", flush=True)
for piece in ps.stream(lambda s, x: jnp.tanh(weights @ s + x), jnp.zeros(3), xs, window=100, solver=ps.deer(),
                       max_iterations=3, state_file=folder / "mark"):
    out[piece.start : piece.start + len(piece.states)] = piece.states
    print(piece.start, flush=True)
"""


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_with_the_same_bits(tmp_path):
    moments = np.random.default_rng(0).integers(1, 25, 10)
    for name, kills in (("whole", []), ("killed", moments)):
        folder = tmp_path / name
        folder.mkdir()
        for kill in [*kills, None]:
            process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True)
            with process.stdout as lines:
                for count, _ in enumerate(lines):
                    if count == kill:
                        process.kill()
            assert (process.wait() == 0) == (kill is None)
    assert (tmp_path / "whole" / "states").read_bytes() == (tmp_path / "killed" / "states").read_bytes()
