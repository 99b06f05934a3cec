"""Exponents against closed forms, published values and sums that are known exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flow_steps import flow, recurrence, runge_kutta, trajectory

import parascan as ps
from combinations import exhaustive, single, some
from parascan.diagnostics import lyapunov_exponents
from parascan.diagnostics.growth.exponents import kaplan_yorke_dimension
from parascan.diagnostics.growth.spectrum import orthonormal


def covers(estimate, truth, slack=0.0):
    """Whether an estimate's interval holds a number, give or take."""
    return bool(jnp.all((estimate.low - slack <= truth) & (truth <= estimate.high + slack)))


@single
def test_all_exponents_of_a_linear_map_are_the_logs_of_its_eigenvalues(dtype, getkey):
    basis, values = np.random.default_rng(0).normal(size=(3, 3)), np.array([0.95, 0.7, 0.3])
    matrix = jnp.asarray(basis @ np.diag(values) @ np.linalg.inv(basis), dtype)
    found = lyapunov_exponents(lambda s, _: matrix @ s, jnp.ones(3, dtype), length=3000, key=getkey(), k=3)
    np.testing.assert_allclose(found.per_step, np.log(values), atol=5e-4)
    assert found.per_step.dtype == dtype
    assert covers(found.estimate, np.log(values), 2e-4)


def test_many_exponents_take_another_way_to_orthonormal_frames(getkey):
    with jax.enable_x64(True):
        frames = jax.random.normal(getkey(), (2, 9, 12, 3))
        for columns in (9, 4):
            turned, stretches = orthonormal(frames[:, :columns])
            np.testing.assert_allclose(
                jnp.einsum("vidp,vjdp->vpij", turned, turned),
                np.broadcast_to(np.eye(columns), (2, 3, columns, columns)),
                atol=1e-13,
            )
            upper = np.linalg.qr(np.asarray(frames[1, :columns, :, 2]).T)[1]
            np.testing.assert_allclose(stretches[1, :, 2], np.abs(np.diag(upper)), rtol=1e-12)


def test_logistic_and_tent(getkey):
    with jax.enable_x64(True):
        logistic = lyapunov_exponents(lambda s, _: 4 * s * (1 - s), jnp.asarray(0.3), length=20_000, key=getkey())
        assert covers(logistic.estimate, np.log(2))
        # A slope of exactly 2 shifts out all bits of a float64 in some fifty steps.
        slope = 1.9999
        tent = lyapunov_exponents(
            lambda s, _: slope * jnp.minimum(s, 1 - s), jnp.asarray(0.3), length=2000, key=getkey()
        )
        np.testing.assert_allclose(tent.per_step, np.log(slope), rtol=1e-12)


@pytest.mark.slow
def test_henon(getkey):
    with jax.enable_x64(True):
        henon = ps.systems.get("henon")
        found = lyapunov_exponents(henon.step, henon.initial_state, length=40_000, key=getkey(), k=2)
        assert covers(found.estimate, jnp.asarray([0.419, np.log(0.3) - 0.419]), 5e-4)
        np.testing.assert_allclose(jnp.sum(found.per_step), np.log(0.3), rtol=1e-10)
        # Sprott (2003), appendix A.
        assert covers(found.kaplan_yorke, 1.258, 2e-3)
        assert float(found.kaplan_yorke.high - found.kaplan_yorke.low) < 0.05


# Sprott (2003), appendix A. Of the nine flows here, dysts' two entries for the largest exponent agree within a tenth
# for SprottB alone, 0.207 and 0.220; those for Lorenz are 0.892 and 1.091, those for Rossler 0.151 and 0.076.
@pytest.mark.parametrize(
    ("name", "dt", "length", "largest", "total", "dimension"),
    [
        ("lorenz", 0.01, 100_000, 0.9056, -41 / 3, 2.062),
        pytest.param("rossler", 0.05, 100_000, 0.0714, None, 2.013, marks=pytest.mark.slow),
        ("sprott_b", 0.05, 100_000, 0.210, -1.0, 2.174),
    ],
)
@pytest.mark.slow
def test_flows_under_an_accurate_integrator(name, dt, length, largest, total, dimension, getkey):
    with jax.enable_x64(True):
        field, start = flow(name)
        step = runge_kutta(field, dt)
        found = lyapunov_exponents(step, start, length=length, key=getkey(), k=3, directions=1, dt=dt)
        in_time = found.estimate_per_time
        assert covers(eqx_first(in_time, 0), largest, 0.02 * largest)
        assert float(in_time.high[0] - in_time.low[0]) < 0.25 * largest
        # One exponent of a flow is zero: that along it.
        assert covers(eqx_first(in_time, 1), 0.0, 2e-3)
        if total is not None:
            np.testing.assert_allclose(jnp.sum(found.per_time), total, rtol=1e-4)
        assert covers(found.kaplan_yorke, dimension, 5e-3)


def eqx_first(estimate, index):
    """One of several estimated numbers."""
    return jax.tree.map(lambda leaf: leaf[index], estimate)


@pytest.mark.slow
def test_windows_agree_with_one_after_the_other(getkey):
    with jax.enable_x64(True):
        rnn = ps.systems.tanh_rnn(gain=1.5, size=16, key=jax.random.key(3))
        xs, key = rnn.inputs(4000), getkey()
        alone, beside = (
            lyapunov_exponents(rnn.step, rnn.initial_state, xs, key=key, chunks=chunks) for chunks in (1, 8)
        )
        problem = recurrence(rnn.step, rnn.initial_state, xs)
        known = lyapunov_exponents(rnn.step, rnn.initial_state, xs, key=key, chunks=8, states=trajectory(problem))
        assert "8 chunks" in beside.estimate.method
        scale = alone.estimate.high - alone.per_step
        assert np.all(np.abs(beside.per_step - alone.per_step) < 0.5 * scale)
        np.testing.assert_allclose(known.per_step, beside.per_step, rtol=1e-9)


@pytest.mark.slow
def test_windows_without_a_burn_in_run_until_their_directions_have_turned(getkey):
    with jax.enable_x64(True):
        # From a random direction, the slow coordinate takes 60 steps to win over the other.
        rates = jnp.asarray([0.9, 0.85])
        step = lambda s, _: rates * s  # noqa: E731
        found = lyapunov_exponents(step, jnp.ones(2), length=8000, key=getkey(), chunks=16, burn_in=0, warm_up=1000)
        np.testing.assert_allclose(found.per_step, np.log(0.9), atol=1e-9)


@pytest.mark.slow
def test_long_trajectories_in_segments_are_as_short_ones_in_one(getkey, monkeypatch):
    from parascan.diagnostics.growth import spectrum

    with jax.enable_x64(True):
        rnn = ps.systems.tanh_rnn(gain=0.9, size=12, key=jax.random.key(3))
        xs, key = rnn.inputs(20_001), getkey()
        whole = lyapunov_exponents(lambda s, x: rnn.step(s, x), rnn.initial_state, xs, key=key)
        monkeypatch.setattr(spectrum, "ENTRIES_OF_A_SEGMENT", 1)
        cut = lyapunov_exponents(lambda s, x: rnn.step(s, x), rnn.initial_state, xs, key=key)
        assert "78 windows" in cut.estimate.method
        # Shorter windows leave more of a bias, which the interval holds.
        assert abs(cut.per_step - whole.per_step) < cut.estimate.high - cut.per_step


def test_intervals_hold_the_truth_about_as_often_as_they_say(getkey):
    """Log stretches that are correlated in time, with a known mean: 0.95 is meant, 0.85 of 200 the least to pass."""
    runs, length, memory = 200, 2000, 0.8
    with jax.enable_x64(True):
        noise = jax.random.normal(getkey(), (runs, length))

        def one(noise):
            logs = jax.lax.scan(lambda a, e: (memory * a + e,) * 2, 0.0, noise)[1]
            found = lyapunov_exponents(
                lambda s, x: jnp.exp(x - 0.1) * s, jnp.ones(()), 0.1 * logs, key=jax.random.key(0), directions=1
            )
            return found.estimate.low, found.estimate.high

        low, high = jax.jit(jax.vmap(one))(noise)
        held = float(jnp.mean((low <= -0.1) & (high >= -0.1)))
        assert 0.85 <= held <= 1.0
        # Not by being too wide: the error of the mean is 0.1 / (1 - memory) / sqrt(T).
        assert float(jnp.median(high - low)) < 3 * 2 * 1.96 * 0.5 / length**0.5


@pytest.mark.slow
def test_precisions_agree(getkey):
    step, found = lambda s, _: jnp.stack([1 - 1.4 * s[0] ** 2 + s[1], 0.3 * s[0]]), {}
    for precision in ("float32", "float64"):
        with jax.enable_x64(precision == "float64"):
            found[precision] = lyapunov_exponents(
                step, jnp.asarray([0.1, 0.1], precision), length=20_000, key=getkey(), k=2
            )
            assert found[precision].per_step.dtype == precision
    single, double = found["float32"], found["float64"]
    assert single.resolution > 1e-7 > double.resolution
    np.testing.assert_allclose(single.per_step, double.per_step, atol=0.01)


def test_finite_time_exponents_along_the_data(getkey):
    rates = jnp.repeat(jnp.asarray([0.5, 0.9, 0.25]), 10)
    step = lambda s, x: x * s  # noqa: E731
    found = lyapunov_exponents(step, jnp.ones(2), rates, key=getkey(), windows=3)
    np.testing.assert_allclose(found.finite_time, np.log([0.5, 0.9, 0.25]), rtol=1e-5)
    uneven = lyapunov_exponents(step, jnp.ones(2), rates, key=getkey(), windows=4)
    expected = [np.mean(np.log(part)) for part in np.split(np.asarray(rates), [7, 14, 21])]
    np.testing.assert_allclose(uneven.finite_time, expected, rtol=1e-5)


def test_one_step_has_a_value_and_no_interval(getkey):
    found = lyapunov_exponents(lambda s, _: 0.5 * s, jnp.asarray(1.0), length=1, key=getkey())
    np.testing.assert_allclose(found.per_step, np.log(0.5), rtol=1e-6)
    assert found.finite_time is None
    assert np.isneginf(found.estimate.low)
    assert np.isposinf(found.estimate.high)


@pytest.mark.parametrize(("start", "sound", "chunks"), [(1.0, 3, None), *exhaustive([(np.nan, 0, 2)])])
def test_what_is_not_finite_is_never_a_number_with_an_interval(start, sound, chunks, getkey):
    def step(s, x):
        return 0.5 * s * x

    xs = jnp.ones((400, 2)).at[300].set(jnp.nan)
    found = lyapunov_exponents(step, jnp.full(2, start), xs, key=getkey(), windows=4, chunks=chunks)
    assert np.isnan(found.per_step)
    assert (found.estimate.low, found.estimate.high) == (-np.inf, np.inf)
    assert np.isfinite(found.finite_time[:sound]).all()
    assert np.isnan(found.finite_time[3])
    assert np.isnan(found.kaplan_yorke.value)


@pytest.mark.parametrize(
    ("exponents", "size", "dimension"),
    [
        ([-0.5, -1.0], 2, 0.0),
        ([0.9, 0.0, -14.6], 3, 2 + 0.9 / 14.6),
        ([0.5, 0.2], 2, 2.0),
        ([0.5, 0.2], 3, np.nan),
        ([0.5, -1.0], 9, 1.5),
        ([np.nan, -1.0], 2, np.nan),
    ],
)
def test_dimension_by_hand(exponents, size, dimension):
    found = kaplan_yorke_dimension(jnp.asarray(exponents), size)
    np.testing.assert_allclose(found, dimension, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"k": 4}, ValueError, "k: given 4, expected at most D = 3"),
        ({"k": 0}, ValueError, "k: given 0"),
        ({"windows": 9}, ValueError, "windows: given 9, expected at most T = 5"),
        ({"windows": 2.5}, TypeError, "windows: given 2.5"),
        ({"burn_in": -1}, ValueError, "burn_in: given -1"),
        ({"states": np.ones((4, 3), np.float32)}, ValueError, "states: given a leaf of shape \\(4, 3\\)"),
        ({"states": {"s": np.ones((5, 3), np.float32)}}, TypeError, "states: given a tree"),
    ],
)
def test_refusals(options, error, message, getkey):
    with pytest.raises(error, match=message):
        lyapunov_exponents(lambda s, x: s + x, jnp.ones(3), jnp.ones((5, 3)), key=getkey(), **options)


def test_no_step_is_refused(getkey):
    with pytest.raises(ValueError, match="length: given 0, expected one step or more"):
        lyapunov_exponents(lambda s, x: s + x, jnp.ones(3), jnp.ones((0, 3)), key=getkey())


def lorenz_at_rest():
    """Lorenz at rho = 20 about the fixed point that it settles at, where two exponents are equal."""
    place = np.sqrt(8 / 3 * 19)

    def field(s):
        return jnp.stack([10 * (s[1] - s[0]), s[0] * (20 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]])

    return runge_kutta(field, 0.01), jnp.asarray([place, place, 19.0])


def linear(matrix):
    """A linear map and where it starts."""
    return lambda s, _: jnp.asarray(matrix) @ s, jnp.ones(len(matrix))


TURNING = np.array([[np.cos(0.02), -np.sin(0.02) / 16], [16 * np.sin(0.02), np.cos(0.02)]])
AT_REST = {
    "flow": (lorenz_at_rest, 3000, 2),
    "diagonal": (lambda: linear(np.diag([1.2, 1.1, 0.9, 0.5, 0.1])), 300, 5),
    "ellipse": (lambda: linear(0.999 * TURNING), 3000, 2),
    "first turns": (lambda: linear(np.diag([0.9, 0.5, 0.2])), 311, 3),
}


@pytest.mark.parametrize("name", some(AT_REST, "first turns"))
@pytest.mark.slow
def test_intervals_account_for_the_directions_that_windows_start_from(name):
    make, length, k = AT_REST[name]
    with jax.enable_x64(True):
        step, start = make()
        jacobian = np.asarray(jax.jacfwd(lambda s: step(s, None))(start))
        expected = np.sort(np.log(np.abs(np.linalg.eigvals(jacobian))))[::-1][:k]
        keys = jax.random.split(jax.random.key(5), 24)
        found = jax.vmap(lambda key: lyapunov_exponents(step, start, length=length, key=key, k=k).estimate)(keys)
        assert np.all((found.low <= expected) & (expected <= found.high))
        # Not by being wide.
        assert np.median(found.high - found.low) < 0.05


def frozen(s):
    """The state without its derivative."""
    return jax.lax.stop_gradient(s)


DECEPTIVE = {
    "all": lambda s, _: 4 * frozen(s) * (1 - frozen(s)),
    "a factor": lambda s, _: 3.9 * s * (1 - frozen(s)),
    "straight through": lambda s, _: 1 - jnp.abs(1 - 2 * (s + frozen(jnp.round(8 * s) / 8 - s))) * 0.99,
}


@pytest.mark.parametrize("name", some(DECEPTIVE, "straight through"))
def test_exponents_of_another_function_than_the_step_are_unknown(name, getkey):
    found = lyapunov_exponents(DECEPTIVE[name], jnp.asarray(0.3), length=300, key=getkey())
    assert np.isnan(found.per_step)
    assert (found.estimate.low, found.estimate.high) == (-np.inf, np.inf)
