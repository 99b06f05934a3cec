"""Streams whose windows are cut over four devices of one process."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from over_devices import mesh_of, network, placed, series

import parascan as ps
from combinations import fewer, pairwise, product, some

D = 4
WEIGHTS, STEP_OF = network(D)
XS = np.asarray(series(170, D))
REFERENCE = jax.lax.scan(STEP_OF(WEIGHTS), jnp.ones(D), XS)[1] / 2


def pieces(mesh, xs=XS, **options):
    return ps.stream(STEP_OF(WEIGHTS), jnp.ones(D), xs, **{"window": 48, "mesh": mesh, **options})


@pytest.mark.parametrize("kind", some(["automatic", "explicit"], "explicit"))
@pytest.mark.parametrize("options", [{}, {"solver": ps.jacobi(), "max_iterations": 9}], ids=["default", "in part"])
def test_pieces_are_the_trajectory(options, kind):
    found = list(pieces(mesh_of(kind, time=4), **options))
    assert [each.start for each in found] == list(np.cumsum([0, *(len(each.states) for each in found[:-1])]))
    assert (len(found) > 4) == bool(options)
    np.testing.assert_allclose(np.concatenate([each.states for each in found]), REFERENCE, atol=4e-6)
    np.testing.assert_allclose(np.concatenate([each.ys for each in found]), 2 * REFERENCE, atol=8e-6)
    np.testing.assert_allclose(found[-1].carry, REFERENCE[-1], atol=4e-6)


@pytest.mark.parametrize(
    ("count", "given", "entered", "chunks"),
    fewer(
        pairwise(product([1, 4], [False, True], [False, True], [False, True])),
        "1-False-False-False",
        "4-True-True-False",
    ),
)
def test_inputs_on_explicit_axes(count, given, entered, chunks):
    """Windows are sliced and joined where types would ask for the place of every result."""
    mesh = mesh_of("explicit", time=count)
    xs = placed(mesh, XS[:168], "time")
    parts = iter([placed(mesh, XS[:68], "time"), placed(mesh, XS[68:168], "time")])
    with jax.set_mesh(mesh) if entered else contextlib.nullcontext():
        start = placed(mesh, jnp.ones(D))
        found = list(
            ps.stream(STEP_OF(WEIGHTS), start, parts if chunks else xs, window=48, mesh=mesh if given else None)
        )
    assert [each.start for each in found] == [0, 48, 96, 144]
    np.testing.assert_allclose(np.concatenate([each.ys for each in found]), 2 * REFERENCE[:168], atol=8e-6)


@pytest.mark.slow
def test_keys_counters_and_no_inputs():
    def noisy(carry, _):
        key, state, count = carry
        key, now = jax.random.split(key)
        return (key, 0.5 * state + jax.random.normal(now, (2,)), count + 1), count

    init = jax.random.key(0), jnp.zeros(2), jnp.int32(0)
    found = list(ps.stream(noisy, init, length=50, window=20, mesh=mesh_of("automatic", time=4)))
    carry, counts = jax.lax.scan(noisy, init, length=50)
    np.testing.assert_array_equal(np.concatenate([each.ys for each in found]), counts)
    np.testing.assert_allclose(found[-1].carry[1], carry[1], rtol=1e-6)
    assert (jax.random.key_data(found[-1].carry[0]) == jax.random.key_data(carry[0])).all()


@pytest.mark.slow
def test_a_stopped_stream_goes_on_with_the_same_bits(tmp_path):
    mesh, options = mesh_of("automatic", time=4), {"solver": ps.deer(), "max_iterations": 2}
    whole = np.concatenate([each.states for each in pieces(mesh, **options)])
    room, rounds = np.full_like(whole, np.nan), 0
    while rounds == 0 or starts:
        starts = []
        for each in pieces(mesh, state_file=tmp_path / "state", **options):
            room[each.start : each.start + len(each.states)] = each.states
            starts.append(each.start)
            if len(starts) == 2:
                break
        rounds += 1
    assert rounds > 3
    np.testing.assert_array_equal(room, whole)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    with pytest.raises(ValueError, match="written with solver"):
        pieces(mesh, state_file=tmp_path / "state")


def test_fewer_steps_than_a_window():
    found = list(pieces(mesh_of("automatic", time=4), XS[:6]))
    np.testing.assert_allclose(np.concatenate([each.states for each in found]), REFERENCE[:6], atol=4e-6)
    (none,) = pieces(mesh_of("automatic", time=4), XS[:0])
    assert none.states.shape == (0, D)


def test_what_cannot_be_cut_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"window: given 50, expected a multiple of 4, the devices"):
        pieces(mesh_of("automatic", time=4), window=50)
    with pytest.raises(TypeError, match=r"mesh: given int, expected a jax\.sharding\.Mesh or None"):
        pieces(4)
    (tmp_path / "state.0").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"state_file: given .*, but .*state\.0 is there, written by several processes"
    ):
        pieces(None, state_file=tmp_path / "state")


@pytest.mark.parametrize("others", [None, 2], ids=["one", "two"])
def test_another_number_of_devices_would_round_otherwise_and_is_refused(others, tmp_path):
    begun = pieces(mesh_of("automatic", time=4), state_file=tmp_path / "state")
    for _ in range(2):
        next(begun)
    begun.close()
    mesh = None if others is None else mesh_of("automatic", time=others)
    with pytest.raises(ValueError, match="written with devices 4"):
        next(pieces(mesh, state_file=tmp_path / "state"))
