"""The end of a sequence from its last steps: right within its bound, refused where nothing is proven."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import parascan as ps

T = 5000
KEY = jr.key(0)
WEIGHTS = np.asarray(jr.normal(KEY, (8, 8), jnp.float32))
WEIGHTS = WEIGHTS / np.linalg.norm(WEIGHTS, 2)
XS = jr.normal(jr.key(1), (T, 8), jnp.float32)
TOLERANCE = 1e-4


def cell(metric):
    return ps.nn.ContractiveCell(8, 8, rate=0.8, metric=metric, key=KEY, dtype=jnp.float32)


CONTRACTIVE = {
    "tanh": (lambda s, x: jnp.tanh(0.9 * WEIGHTS @ s + x), 8),
    "leaky": (lambda s, x: 0.7 * s + 0.3 * jnp.tanh(0.9 * WEIGHTS @ s + x), 8),
    "relu": (lambda s, x: jax.nn.relu(0.9 * WEIGHTS @ s + x), 8),
    "transient": (lambda s, x: jnp.array([[0.5, 20.0], [0.0, 0.5]]) @ s + x[:2], 2),
    "oscillator": (lambda s, x: jnp.stack([1.6 * s[0] - 0.8 * s[1] + x[0], s[0]]), 2),
    "gain of the input": (lambda s, x: jnp.clip(x[0], -0.9, 0.9) * s + x[1], 0),
    "cosine": (lambda s, x: jnp.cos(0.5 * jnp.roll(s, 1)) * jnp.tanh(x[0]), 3),
    "square": (lambda s, x: 0.2 * jnp.tanh(s) ** 2 - jnp.exp(-jnp.abs(x[0])) * 0.5 * jnp.arctan(s), 1),
    # These move as slowly as the bounds on their slopes allow.
    "tanh at rest": (lambda s, x: jnp.tanh(0.9 * s), 0),
    "logistic at rest": (lambda s, x: 3.6 * (jax.nn.sigmoid(s) - 0.5), 0),
    "sine at rest": (lambda s, x: jnp.sin(0.9 * s) + 0 * x[0], 0),
    "error function at rest": (lambda s, x: jax.lax.erf(0.79 * s), 0),
    "memoryless": (lambda s, x: x[:2] + 0 * s, 2),
    "cell": (lambda s, x: cell(None)(x, s), 8),
}


def start(size):
    return jnp.ones((size,) if size else (), jnp.float32)


def after_all(step, init, xs, reverse=False):
    with jax.enable_x64(True):
        wide = [jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), each) for each in (init, xs)]
        return np.asarray(jax.lax.scan(lambda s, x: (step(s, x), None), *wide, reverse=reverse)[0])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CONTRACTIVE)
def test_the_end_is_right_within_its_bound_from_a_few_steps(name, reverse):
    step, size = CONTRACTIVE[name]
    found = ps.final_carry(step, start(size), XS, reverse=reverse, tolerance=TOLERANCE)
    assert found.bound <= TOLERANCE
    assert found.steps < 600
    error = np.max(np.abs(np.asarray(found.carry) - after_all(step, start(size), XS, reverse)))
    assert error <= found.bound + 1e-5


@pytest.mark.parametrize("name", CONTRACTIVE)
def test_distances_shrink_as_proven_from_any_two_states(name):
    step, size = CONTRACTIVE[name]
    proven = ps.final_carry(step, start(size), XS, tolerance=TOLERANCE).contraction
    with jax.enable_x64(True):
        near = np.random.default_rng(0).normal(size=(64, *start(size).shape))
        far = near + np.random.default_rng(1).normal(size=near.shape) * 0.1
        xs = np.asarray(XS, np.float64)

        def distances(a, b):
            both = jax.lax.scan(lambda s, x: (jax.tree.map(lambda each: step(each, x), s),) * 2, (a, b), xs[:60])[1]
            return jnp.abs(both[0] - both[1]).reshape(60, -1).max(1)

        apart = np.asarray(jax.vmap(distances)(near, far))
    for n in range(1, 60):
        assert np.all(apart[:, n] <= proven.after(n) + 1e-9), n


SPREAD = ps.systems.get("lorenz")
REFUSED = {
    "chaotic network": (lambda s, x: jnp.tanh(3 * WEIGHTS @ s + x), start(8), "not below 1"),
    "latch": (lambda s, x: jnp.where(jnp.abs(x[0]) > 1, jnp.sign(x[0]), s), start(0), "not below 1"),
    "latch on the state": (lambda s, x: 0.5 * jnp.where(s + x[0] > 0, 1.0, -1.0), start(0), "gt"),
    "sign": (lambda s, x: 0.1 * jnp.sign(s + x[0]), start(0), "sign"),
    "rounding": (lambda s, x: 0.1 * jnp.round(s + x[0]), start(0), "round"),
    "whole numbers": (lambda s, x: 0.1 * s.astype(int).astype(s.dtype), start(0), "whole numbers"),
    "counter": (lambda s, x: s + 1, start(0), "not below 1"),
    "rare burst": (lambda s, x: 0.5 * s + 2 * jnp.exp(-(((s - 7) * 50) ** 2)) * s, start(0), "not below 1"),
    "pole": (lambda s, x: 0.1 / s, start(0), "divisors"),
    "flow": (lambda s, x: SPREAD.step(s, None), SPREAD.initial_state, "not below 1"),
    "loop": (lambda s, x: jax.lax.fori_loop(0, 3, lambda k, s: 0.5 * s, s), start(0), ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_proven_is_refused(name):
    step, init, words = REFUSED[name]
    with pytest.raises(ValueError, match=f"no contraction could be proven.*{words}"):
        ps.final_carry(step, init, XS, tolerance=TOLERANCE)


@pytest.mark.parametrize("metric", [None, ps.nn.DiagonalMetric, ps.nn.FullMetric])
def test_a_contractive_cell_brings_its_proof(metric):
    layer = cell(metric)
    step = lambda s, x: layer(x, s)  # noqa: E731
    found = jax.jit(
        lambda xs: ps.final_carry(step, start(8), xs, tolerance=TOLERANCE, contraction=layer.contraction()).carry
    )(XS)
    np.testing.assert_allclose(found, after_all(step, start(8), XS), atol=2 * TOLERANCE)


def test_the_cost_does_not_depend_on_the_length():
    step = CONTRACTIVE["tanh"][0]
    counts = [ps.final_carry(step, start(8), XS[:n], tolerance=TOLERANCE).steps for n in (2000, T)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_an_input_that_is_not_finite_is_not_left_out(bad):
    xs = XS.at[3, 0].set(bad)
    known = None if np.isnan(bad) else ps.diagnostics.ProvenContraction(0.9, 100.0)
    found = ps.final_carry(lambda s, x: 0.9 * s + x[0], start(0), xs, tolerance=TOLERANCE, contraction=known)
    assert not np.isfinite(found.carry)


@pytest.mark.parametrize("length", [0, 1, 2, 20])
def test_short_sequences_take_all_steps(length):
    step = CONTRACTIVE["tanh"][0]
    found = ps.final_carry(step, start(8), XS[:length], tolerance=TOLERANCE)
    assert (found.steps, found.bound) == (length, 0.0)
    np.testing.assert_allclose(found.carry, after_all(step, start(8), XS[:length]), atol=1e-5)


def test_trees_narrow_numbers_and_batches():
    def step(s, x):
        return {"a": 0.5 * s["b"].mean() + x[0], "b": jnp.cos(0.5 * s["a"]) * jnp.ones(3, x.dtype)}

    init = {"a": jnp.zeros((), jnp.bfloat16), "b": jnp.zeros(3, jnp.bfloat16)}
    xs = XS.astype(jnp.bfloat16)
    found = ps.final_carry(step, init, xs, tolerance=1e-2)
    assert (found.carry["b"].dtype, found.steps < 40) == (jnp.bfloat16, True)
    many = jax.vmap(lambda xs: ps.final_carry(CONTRACTIVE["tanh"][0], start(8), xs, tolerance=TOLERANCE).carry)
    found = many(jnp.stack([XS, -XS]))
    np.testing.assert_allclose(found[1], after_all(CONTRACTIVE["tanh"][0], start(8), -XS), atol=1e-4)


def test_gradients_are_those_of_the_last_steps():
    def loss(scale, run):
        return jnp.sum(run(lambda s, x: jnp.tanh(scale * WEIGHTS @ s + x)) ** 2)

    proof = ps.diagnostics.ProvenContraction(0.9, 6.0)
    slope = jax.grad(loss)(
        0.9, lambda step: ps.final_carry(step, start(8), XS, tolerance=1e-6, contraction=proof).carry
    )
    expected = jax.grad(loss)(0.9, lambda step: jax.lax.scan(lambda s, x: (step(s, x), None), start(8), XS)[0])
    np.testing.assert_allclose(slope, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"tolerance": 0.0}, ValueError, "tolerance: given 0.0"),
        ({"tolerance": "small"}, TypeError, "tolerance: given str"),
        ({"contraction": 0.9}, TypeError, "contraction: given float"),
        ({"init": jnp.zeros((8,), int)}, TypeError, "init: given a leaf"),
        ({"length": 7}, ValueError, "length"),
    ],
)
def test_bad_arguments_are_refused(change, error, words):
    given = {"init": start(8), "xs": XS, "tolerance": TOLERANCE, **change}
    with pytest.raises(error, match=words):
        ps.final_carry(lambda s, x: s if s.dtype != x.dtype else jnp.tanh(0.5 * WEIGHTS @ s + x), **given)


def test_traced_weights_need_a_proof_of_the_users():
    @jax.jit
    def run(weights):
        return ps.final_carry(lambda s, x: jnp.tanh(weights @ s + x), start(8), XS, tolerance=TOLERANCE).carry

    with pytest.raises(ValueError, match="traced"):
        run(jnp.asarray(WEIGHTS))


@pytest.mark.parametrize(("rate", "constant"), [(1.0, 1.0), (-0.1, 1.0), (float("nan"), 1.0), (0.5, float("inf"))])
def test_a_proof_of_nothing_is_refused(rate, constant):
    with pytest.raises(ValueError, match=r"rate|constant"):
        ps.diagnostics.ProvenContraction(rate, constant)


def test_an_activation_without_a_bound_has_no_proof():
    layer = ps.nn.ContractiveCell(8, 8, rate=0.8, activation=jax.nn.relu, key=KEY)
    with pytest.raises(ValueError, match="activation"):
        layer.contraction()
