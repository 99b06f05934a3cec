"""The default solver on arrays that are spread over devices, by any kind of axis, inside and outside of ``jax.jit``."""

import contextlib
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from over_devices import equal, largest_message, mesh_of, network, placed, series, spec_of

import parascan as ps
from combinations import exhaustive, fewer, one_of_each

T, D = 8192, 12
WEIGHTS, STEP_OF = network()
XS = series(T, D)


@pytest.mark.parametrize(
    ("kind", "compiled"), fewer(one_of_each(list(product(["automatic", "explicit"], [False, True]))), "automatic-False")
)
def test_inputs_spread_along_time_bring_their_mesh(kind, compiled):
    """The axis may have any name; the outputs are spread as the inputs are."""
    mesh = mesh_of(kind, t=4)
    step, xs = STEP_OF(WEIGHTS), placed(mesh, XS, "t")
    run = lambda xs, **options: ps.rollout(step, jnp.ones(D), xs, solver=ps.Chunked(8), **options)  # noqa: E731
    options = {"mesh": mesh} if compiled and kind == "automatic" else {}
    solution = (jax.jit(lambda xs: run(xs, **options)) if compiled else run)(xs)
    equal((solution.carry, solution.ys), jax.lax.scan(step, jnp.ones(D), XS))
    assert int(solution.stats.chunks) == 32
    assert spec_of(solution.ys) == spec_of(solution.states) == ("t",)


@pytest.mark.parametrize(
    ("kind", "entered"), fewer(one_of_each(list(product(["automatic", "explicit"], [False, True]))), "automatic-False")
)
def test_derivatives_and_weights_on_a_mesh(kind, entered):
    """Inside of ``jax.set_mesh`` and outside, with weights that a step closes over on the same mesh."""
    mesh = mesh_of(kind, t=4)
    weights, xs = placed(mesh, WEIGHTS), placed(mesh, XS, "t")

    def loss(scan, weights, s0, xs):
        carry, ys = scan(STEP_OF(weights), s0, xs)
        return jnp.mean(jnp.sin(ys)) + jnp.sum(carry**2)

    def on_devices(*args):
        return ps.scan(*args, solver=ps.Chunked(8), mesh=mesh)

    with jax.set_mesh(mesh) if entered else contextlib.nullcontext():
        start = placed(mesh, jnp.ones(D))
        given = jax.jit(jax.grad(lambda *args: loss(on_devices, *args), argnums=(0, 1, 2)))(weights, start, xs)
    expected = jax.grad(lambda *args: loss(jax.lax.scan, *args), argnums=(0, 1, 2))(WEIGHTS, jnp.ones(D), XS)
    equal(given, expected)
    assert spec_of(given[2]) == ("t",)


@pytest.mark.parametrize(
    ("kind", "solver"),
    [
        ("automatic", ps.Chunked(8)),
        ("explicit", ps.Sequential()),
        *exhaustive([("explicit", ps.Chunked(8)), ("automatic", ps.Sequential())]),
        *exhaustive((kind, ps.deer()) for kind in ("automatic", "explicit")),
    ],
)
def test_a_second_axis_for_the_batch(kind, solver):
    mesh = mesh_of(kind, batch=2, time=2)
    step, batch = STEP_OF(WEIGHTS), series(4, 2048, D)
    run = jax.jit(jax.vmap(lambda xs: ps.scan(step, jnp.ones(D), xs, solver=solver, mesh=mesh)))
    carry, ys = run(placed(mesh, batch, "batch", "time"))
    equal((carry, ys), jax.vmap(lambda xs: jax.lax.scan(step, jnp.ones(D), xs))(batch))
    assert spec_of(ys) == ("batch", "time")
    assert spec_of(carry) == ("batch",)


@pytest.mark.parametrize(
    ("solver", "entered"),
    [(None, True), (ps.deer(), False), *exhaustive(product([ps.Chunked(8), ps.Sequential()], [False, True]))],
)
@pytest.mark.slow
def test_gradients_with_explicit_axes_for_batch_and_time(solver, entered):
    """Of weights that all elements share, of starts and inputs that they do not, and of a counter that has none."""
    mesh, batch, starts = mesh_of("explicit", batch=2, time=2), series(4, 1024, D), series(4, D, seed=2)

    def loss(scan, weights, starts, batch):
        def one(start, xs):
            def step(carry, x):
                s, y = STEP_OF(weights)(carry[0], x)
                return (s, carry[1] + 1), (y, carry[1])

            (carry, _), (ys, counts) = scan(step, (start, jnp.int32(0)), xs)
            return jnp.sum(jnp.sin(ys) * jnp.cos(counts)[:, None]) + jnp.sum(carry**2)

        return jnp.sum(jax.vmap(one)(starts, batch)) / 1024

    scan = lambda *args: ps.scan(*args, solver=solver)  # noqa: E731
    with jax.set_mesh(mesh) if entered else contextlib.nullcontext():
        given = jax.jit(jax.grad(lambda *args: loss(scan, *args), argnums=(0, 1, 2)))(
            placed(mesh, WEIGHTS), placed(mesh, starts, "batch"), placed(mesh, batch, "batch", "time")
        )
    equal(given, jax.grad(lambda *args: loss(jax.lax.scan, *args), argnums=(0, 1, 2))(WEIGHTS, starts, batch))
    assert [spec_of(each) for each in given] == [(), ("batch",), ("batch", "time")]


@pytest.mark.parametrize("solver", [None, ps.Chunked(8), ps.Sequential(), *exhaustive([(ps.deer(),)])])
def test_devices_that_do_not_divide_the_steps(solver):
    step, xs = STEP_OF(WEIGHTS), XS[:4099]
    equal(
        ps.scan(step, jnp.ones(D), xs, solver=solver, mesh=mesh_of("automatic", time=4)),
        jax.lax.scan(step, jnp.ones(D), xs),
    )


@pytest.mark.parametrize(
    ("solver", "reverse"), one_of_each(list(product([None, ps.Chunked(8), ps.Sequential()], [False, True])))
)
def test_a_system_that_does_not_forget_is_right_and_stays_where_it_is(solver, reverse):
    """A sum and a counter of steps, of which no device gets more than some states of the others."""
    mesh = mesh_of("automatic", time=4)
    xs = placed(mesh, jnp.round(8 * XS), "time")

    def step(carry, x):
        total, count = carry
        return (total + x, count + 1), (total, count)

    init = jnp.zeros(D), jnp.int32(0)
    scan = lambda xs: ps.scan(step, init, xs, reverse=reverse, solver=solver, mesh=mesh)  # noqa: E731
    given = scan(xs)
    jax.tree.map(np.testing.assert_array_equal, given, jax.lax.scan(step, init, np.asarray(xs), reverse=reverse))
    assert spec_of(given[1][0]) == ("time",)
    assert largest_message(scan, xs) < T * D / 8


@pytest.mark.slow
def test_an_answer_in_chunks_and_its_derivative_move_little():
    mesh = mesh_of("automatic", time=4)
    xs = placed(mesh, XS, "time")

    def loss(weights, xs):
        return jnp.mean(ps.scan(STEP_OF(weights), jnp.ones(D), xs, solver=ps.Chunked(8), mesh=mesh)[1] ** 2)

    assert 0 < largest_message(jax.grad(loss, argnums=(0, 1)), WEIGHTS, xs) < T * D / 8


def test_the_axis_of_time_has_to_be_known():
    step, mesh = STEP_OF(WEIGHTS), mesh_of("automatic", a=2, b=2)
    with pytest.raises(ValueError, match=r"mesh: given axes \('a', 'b'\), expected one axis, or one of them called"):
        ps.scan(step, jnp.ones(D), XS, mesh=mesh)
    given = ps.scan(step, jnp.ones(D), placed(mesh, XS, "b"), mesh=mesh)
    equal(given, jax.lax.scan(step, jnp.ones(D), XS))
    assert spec_of(given[1]) == ("b",)
    with pytest.raises(TypeError, match=r"mesh: given int, expected a jax\.sharding\.Mesh or None"):
        ps.scan(step, jnp.ones(D), XS, mesh=4)


@pytest.mark.parametrize(
    ("solver", "spec"),
    one_of_each(list(product([None, ps.Sequential(), ps.deer(), ps.jacobi()], [("time",), (None, "time"), ()]))),
)
def test_a_mesh_of_one_device(solver, spec):
    """An axis of one device cuts nothing, and arrays whose types name it are inputs like any others."""
    step, mesh = STEP_OF(WEIGHTS), mesh_of("explicit", time=1)
    xs = XS[:64]
    given = ps.scan(step, jnp.ones(D), placed(mesh, xs, *spec), solver=solver)
    equal(given, jax.lax.scan(step, jnp.ones(D), xs), atol=1e-5)  # where Jacobi stops
    if spec == ("time",):
        assert spec_of(given[1]) == spec
