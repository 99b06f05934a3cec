"""Calls that ``jax.lax.scan`` accepts under other settings of JAX, over devices, and with values of other libraries."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import exhaustive, some

SOLVERS = {
    "default": None,
    "chunks": ps.Chunked(chunks=4),
    "deer": ps.deer(),
    "quasi_deer": ps.quasi_deer(),
    "blocks": ps.MultipleShooting(ps.deer(), 8),
    "elk": ps.elk(),
    "guarded": ps.WithFallback(ps.deer()),
}
XS = jnp.asarray(np.random.default_rng(0).normal(size=(256, 4)), "float32")


def close(given, expected):
    assert jax.tree.structure(given) == jax.tree.structure(expected)
    for mine, theirs in zip(jax.tree.leaves(given), jax.tree.leaves(expected), strict=True):
        assert mine.dtype == theirs.dtype
        if jnp.issubdtype(mine.dtype, jax.dtypes.prng_key):
            mine, theirs = jax.random.key_data(mine), jax.random.key_data(theirs)
        np.testing.assert_allclose(mine.astype("float32"), theirs.astype("float32"), rtol=0, atol=3e-5)


def mixed(carry, x):
    low, high, count = carry
    high = jnp.tanh(high * jnp.float32(0.5) + x) + low.astype(jnp.float32)
    return (low * jnp.bfloat16(0.5), high, count + jnp.int32(1)), high


@pytest.mark.parametrize("name", some(SOLVERS, "default"))
def test_strict_promotion_with_two_dtypes_in_the_carry(name):
    init = jnp.bfloat16(1), jnp.ones(4), jnp.int32(0)
    scan = functools.partial(ps.scan, solver=SOLVERS[name])

    def results(scan):
        gradient = jax.grad(lambda xs: jnp.sum(scan(mixed, init, xs)[1]))(XS)
        return scan(mixed, init, XS), gradient, jax.vmap(lambda xs: scan(mixed, init, xs)[1])(XS[None])

    with jax.numpy_dtype_promotion("strict"):
        close(*(jax.jit(results, static_argnums=0)(each) for each in (scan, jax.lax.scan)))
        np.testing.assert_allclose(
            ps.rollout(mixed, init, XS, solver=SOLVERS[name]).ys, jax.lax.scan(mixed, init, XS)[1], atol=3e-5
        )


def test_a_step_that_promotes_is_refused_where_promotion_is_strict():
    step = lambda c, x: (0.5 * c + x[0] * jnp.int32(1), c)  # noqa: E731
    with jax.numpy_dtype_promotion("strict"), pytest.raises(Exception, match="no available implicit dtype promotion"):
        ps.scan(step, jnp.float32(0), XS)


def keyed(carry, x):
    state, key = carry
    key, draw = jax.random.split(key)
    state = jnp.tanh(0.5 * state + x + 0.1 * jax.random.normal(draw, state.shape))
    return (state, key), state


@pytest.mark.parametrize("name", some(SOLVERS, "default"))
def test_keys_in_the_carry_under_jit_and_vmap(name):
    init = jnp.ones((3, 4)), jax.random.split(jax.random.key(0), 3)
    run = functools.partial(ps.scan, solver=SOLVERS[name])
    one = jax.tree.map(lambda leaf: leaf[0], init)
    close(jax.jit(lambda init: run(keyed, init, XS))(one), jax.lax.scan(keyed, one, XS))
    expected = jax.vmap(lambda init: jax.lax.scan(keyed, init, XS))(init)
    close(jax.vmap(lambda init: run(keyed, init, XS))(init), expected)

    def both(init):
        return run(keyed, init, XS), ps.rollout(keyed, init, XS, solver=SOLVERS[name]).states

    scanned, rolled = jax.jit(jax.vmap(both))(init)
    close(scanned, expected)
    assert rolled[1].shape == (3, 256)


@pytest.mark.parametrize("length", some([64, 17984], 17984))
@pytest.mark.parametrize("batched", some([False, True], True))
def test_inside_shard_map_with_its_own_checks(length, batched, getkey):
    mesh = jax.make_mesh((4,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("batch")
    cell = eqx.nn.GRUCell(4, 64, key=getkey())
    step = lambda h, x: (cell(x, h),) * 2  # noqa: E731
    xs = jax.random.normal(getkey(), (4, length, 4))

    def run(scan):
        def local(xs):
            start = jax.lax.pcast(jnp.zeros(64), ("batch",), to="varying")
            each = lambda x: scan(step, start, x)[1]  # noqa: E731
            return jax.vmap(each)(xs) if batched else each(xs[0])[None]

        return jax.jit(jax.shard_map(local, mesh=mesh, in_specs=spec, out_specs=spec))(xs)

    close(run(ps.scan), run(jax.lax.scan))


@pytest.mark.parametrize("name", ["deer", "blocks", "guarded", "elk"])
def test_iterations_inside_shard_map_with_its_checks_say_what_to_do(name):
    mesh = jax.make_mesh((4,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("batch")
    local = lambda xs: ps.scan(lambda c, x: (jnp.tanh(0.5 * c + x), c), xs[0], xs, solver=SOLVERS[name])[1]  # noqa: E731
    with pytest.raises(ValueError, match=r"solver: given .* jax\.shard_map .* expected .*check_vma=False"):
        jax.shard_map(local, mesh=mesh, in_specs=spec, out_specs=spec)(XS)


@pytest.mark.parametrize(
    ("length", "solver"), [(17984, None), (64, ps.deer()), *exhaustive([(64, None), (17984, ps.deer())])]
)
def test_arrays_on_a_mesh_with_explicit_axes(length, solver):
    mesh = jax.make_mesh((4,), ("batch",), axis_types=(jax.sharding.AxisType.Explicit,))
    placed = lambda leaf, *axes: jax.device_put(leaf, jax.NamedSharding(mesh, jax.P(*axes)))  # noqa: E731
    xs = placed(jnp.sin(jnp.arange(length * 64.0)).reshape(length, 4, 16), None, "batch")
    init = placed(jnp.zeros((4, 16)), "batch")
    step = lambda c, x: (jnp.tanh(0.5 * c + x), c)  # noqa: E731
    with jax.set_mesh(mesh):
        for wrap in (lambda f: f, jax.jit):
            close(wrap(lambda xs: ps.scan(step, init, xs, solver=solver))(xs), jax.lax.scan(step, init, xs))


@pytest.mark.parametrize("length", [np.int64(100), np.uint8(100), np.asarray(100), jnp.int32(100)], ids=repr)
@pytest.mark.parametrize("solver", [None, pytest.param(ps.deer(), marks=pytest.mark.exhaustive)])
def test_lengths_that_are_integers_of_another_kind(length, solver):
    step = lambda c, _: (0.5 * c, c)  # noqa: E731
    close(ps.scan(step, jnp.ones(2), None, length, solver=solver), jax.lax.scan(step, jnp.ones(2), None, length))
    assert ps.rollout(step, jnp.ones(2), length=length, solver=solver).ys.shape == (100, 2)


def test_guesses_of_numpy():
    step = lambda c, x: (jnp.tanh(0.5 * c + x), c)  # noqa: E731
    guess, expected = np.zeros((256, 4), np.float32), jax.lax.scan(step, jnp.zeros(4), XS)
    for form in (guess, ps.guesses.Given(guess), ps.guesses.Given(guess, np.ones_like(guess))):
        close(ps.scan(step, jnp.zeros(4), XS, solver=ps.deer(), guess=form, max_iterations=np.int64(100)), expected)


def test_statistics_without_nan():
    step = lambda c, x: jnp.tanh(0.5 * c + x)  # noqa: E731
    layer = ps.nn.stack(ps.nn.LSTMCell, 4, 3, key=jax.random.key(0))
    with jax.debug_nans(True):
        for options in ({}, {"solver": ps.Sequential()}, {"solver": ps.WithFallback(ps.jacobi(), budget=2)}):
            assert float(ps.rollout(step, jnp.zeros(4), XS, **options).stats.error_estimate) == 0
        merit = ps.rollout(step, jnp.zeros(4), XS, solver=ps.deer(), criterion=ps.Merit(1e-8))
        assert float(merit.stats.error_estimate) == -1
        assert len(list(ps.stream(step, jnp.zeros(4), np.asarray(XS), window=100))) == 3
        for solution in jax.tree.leaves(layer.rollout(XS)[2], is_leaf=lambda each: hasattr(each, "stats")):
            assert np.isfinite(solution.stats.error_estimate)


@pytest.mark.parametrize(
    ("wrap", "length"),
    [(lambda f: f, 200), (jax.jit, 20000), *exhaustive([(jax.jit, 200), (lambda f: f, 20000)])],
    ids=lambda value: ("compiled" if value is jax.jit else "eagerly") if callable(value) else None,
)
def test_nan_and_infinity_in_the_initial_state(wrap, length):
    xs = jnp.sin(jnp.arange(length * 32.0)).reshape(length, 32)
    valid = lambda c, x: (jnp.where(x > 0.9, jnp.tanh(x), c),) * 2  # noqa: E731
    for start in (jnp.nan, -jnp.inf, jnp.inf):
        init = jnp.zeros(32).at[3].set(start)
        ours = wrap(lambda init: ps.scan(valid, init, xs))(init)
        jax.tree.map(np.testing.assert_array_equal, ours, jax.lax.scan(valid, init, xs))
        rolled = wrap(lambda init: ps.rollout(valid, init, xs).states)(init)
        np.testing.assert_array_equal(rolled, ours[1])


@pytest.mark.parametrize("solver", [None, ps.Sequential()], ids=["default", "sequential"])
@pytest.mark.parametrize("name", ["last valid value", "filter of logarithms", "minimum so far"])
def test_a_start_that_is_no_number_is_meant(name, solver):
    xs = jnp.sin(jnp.arange(600.0)).at[::3].set(jnp.nan)
    moves = jnp.log(jnp.eye(4, k=1) + 0.5 * jnp.eye(4))
    steps = {
        "last valid value": (lambda c, x: jnp.where(jnp.isnan(x), c, x), jnp.nan),
        "filter of logarithms": (
            lambda c, x: jax.nn.logsumexp(c[:, None] + moves, axis=0) + jnp.nan_to_num(x),
            jnp.log(jnp.eye(4)[0]),
        ),
        "minimum so far": (lambda c, x: jnp.minimum(c, jnp.nan_to_num(x)), jnp.inf),
    }
    step, init = steps[name]
    solution = ps.rollout(step, init, xs, solver=solver)
    assert bool(solution.result == ps.Result.successful)
    expected = jax.lax.scan(lambda c, x: (step(c, x),) * 2, jnp.asarray(init), xs)[1]
    np.testing.assert_allclose(solution.states, expected, rtol=1e-6)
    with pytest.raises(ps.RolloutError, match="leaves the finite numbers"):
        ps.rollout(lambda c, x: c + x, 0.0, xs, solver=solver)


def test_a_carry_with_other_leaves_names_only_these_and_the_remedy():
    module = eqx.nn.MLP(2, 2, 4, 1, key=jax.random.key(0))
    with pytest.raises(TypeError, match=r"activation is a .*eqx\.partition.*eqx\.combine") as caught:
        ps.scan(lambda c, x: (c, c(x)), module, jnp.ones((5, 2)))
    assert "weight" not in str(caught.value)
    arrays, rest = eqx.partition(module, eqx.is_array)

    def step(arrays, x):
        return jax.tree.map(lambda leaf: 0.9 * leaf, arrays), eqx.combine(arrays, rest)(x)

    close(ps.scan(step, arrays, jnp.ones((5, 2))), jax.lax.scan(step, arrays, jnp.ones((5, 2))))
