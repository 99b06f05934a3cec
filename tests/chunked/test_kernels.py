"""Stretches of rows as one kernel, as a GPU runs chunks: interpreted here, against ``jax.lax.scan``."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import fewer
from parascan.chunked import in_kernels
from parascan.planning import compiling_for
from parascan.programs.closure import close_over
from parascan.programs.kernels import RowKernel, kernel_of

COLUMNS, BLOCK, FIRST = 19, 9, 2
"""Chunks, which no tile divides, their steps, and the row that a stretch begins at."""


def weights(*shape, number=0, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(number).normal(size=shape) / shape[-1] ** 0.5, dtype)


def network(size, dtype=jnp.float32):
    matrix = weights(size, size, dtype=dtype) / 2
    return lambda s, x: (jnp.tanh(matrix @ s + x),) * 2, jnp.zeros(size, dtype), (size,)


def gru(size):
    into, among = weights(3, size, 6), weights(3, size, size, number=1) / 2

    def step(h, x):
        update, reset = jax.nn.sigmoid(into[:2] @ x + among[:2] @ h)
        h = update * h + (1 - update) * jnp.tanh(into[2] @ x + among[2] @ (reset * h))
        return h, {"state": h, "first": h[0], "joined": jnp.concatenate([h[15:], x, h[1:2]])}

    return step, jnp.zeros(size), (6,)


def lstm(size):
    into, among, bias = weights(4 * size, 1), weights(4 * size, size, number=1), jnp.ones(4 * size)

    def step(carry, x):
        h, c = carry
        i, f, g, o = jnp.split(into @ x + among @ h + bias, 4)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return step, (jnp.zeros(size), jnp.zeros(size)), (1,)


def flow():
    def field(s):
        a, b, c = s
        return jnp.stack([10.0 * (b - a), a * (28.0 - c) - b, a * b - 8 / 3 * c])

    def step(s, x):
        half = s + 0.005 * field(s)
        s = s + 0.01 * field(half) + x
        return s, (s * s).sum()

    return step, jnp.ones(3), (3,)


def quadratic(size):
    matrix = weights(size, size)

    def step(s, x):
        s = jnp.maximum(0.5 * s, jnp.outer(s[:3], x).sum(0) / 8) / (1 + s @ (matrix @ s) ** 2)
        s = jnp.where(s > 0.3, jax.nn.relu(s - 0.1), s)
        return s.at[1].set(x[0]), jnp.log(jnp.abs(s))

    return step, jnp.ones(size), (size,)


STEPS = {
    "network of one": network(1),
    "network of 3": network(3),
    "network of 20": network(20),
    "network of 100": network(100),
    "network in bfloat16": network(20, jnp.bfloat16),
    "GRU": gru(20),
    "LSTM": lstm(17),
    "flow": flow(),
    "small quadratic": quadratic(4),
    "large quadratic": quadratic(33),
}


def given(init, shape):
    """Different states and inputs of every chunk."""
    leaves, structure = jax.tree.flatten(init)
    states = [
        (leaf[..., None] + 0.3 * weights(*leaf.shape, COLUMNS, number=number)).astype(leaf.dtype)
        for number, leaf in enumerate(leaves)
    ]
    xs = weights(COLUMNS, BLOCK, *shape, number=7, dtype=leaves[0].dtype)
    return jax.tree.unflatten(structure, states), xs


def stretch(step, init, xs, states, **options):
    """The rows of a kernel up to the last but one."""
    x = jax.ShapeDtypeStruct(xs.shape[2:], xs.dtype)

    @jax.jit
    def run(states, xs):
        closed = close_over(step, init, x)
        kernel = RowKernel(closed, init, x)
        room = jax.tree.map(lambda leaf: jnp.full((COLUMNS, BLOCK, *leaf.shape), 9, leaf.dtype), closed.shapes[1])
        return kernel.run(states, xs, jnp.arange(COLUMNS), (jnp.int32(FIRST), jnp.int32(BLOCK - 1)), room, **options)

    return run(states, xs)


def close(found, expected, units=64):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        a, b, eps = np.asarray(a, np.float64), np.asarray(b, np.float64), float(jnp.finfo(b.dtype).eps)
        finite = np.isfinite(b)
        np.testing.assert_array_equal(a[~finite], b[~finite])
        np.testing.assert_allclose(a[finite], b[finite], rtol=units * eps, atol=units * eps)


@pytest.mark.parametrize(
    "name", fewer(STEPS, "network of 3", "network of 20", "large quadratic", "small quadratic", "GRU", "network of 100")
)
def test_rows_of_a_kernel_are_those_of_the_plain_loop(name):
    """States at the end, states at the last rows, and outputs, of which those of other rows stay as they are."""
    step, init, shape = STEPS[name]
    reverse = name in ("GRU", "flow")
    states, xs = given(init, shape)
    found = stretch(step, init, xs, states, keep=3, reverse=reverse)
    rows = xs[:, ::-1] if reverse else xs
    rows = rows[:, FIRST : BLOCK - 1]

    def plain(state, rows):
        return jax.lax.scan(lambda s, x: (lambda new, y: (new, (new, y)))(*step(s, x)), state, rows)

    ends, (all_states, ys) = jax.vmap(plain, in_axes=(-1, 0))(states, rows)
    close(found.states, jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), ends))
    close(found.kept, jax.tree.map(lambda leaf: jnp.moveaxis(leaf[:, -4:], 0, -1), all_states))
    written = jax.tree.map(lambda leaf: leaf[:, ::-1] if reverse else leaf, found.ys)
    close(jax.tree.map(lambda leaf: leaf[:, FIRST : BLOCK - 1], written), ys)
    for leaf in jax.tree.leaves(written):
        assert (leaf[:, :FIRST] == 9).all()
        assert (leaf[:, BLOCK - 1 :] == 9).all()


def test_what_is_not_a_number_stays_so_and_padding_spoils_nothing():
    """Padded entries of a logarithm are infinite, and a product must not see them."""
    matrix = weights(20, 20)

    def step(s, x):
        s = jnp.minimum(jnp.maximum(matrix @ jnp.log(jnp.abs(s)) / 2 + x, -1.0), 1.0)
        return s, s

    states, xs = given(jnp.zeros(20), (20,))
    xs = xs.at[3, 5, 2].set(jnp.nan)
    found = stretch(step, jnp.zeros(20), xs, states)
    is_nan = np.isnan(np.asarray(found.states))
    assert is_nan[:, 3].any()
    assert not np.delete(is_nan, 3, axis=1).any()


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (lambda s, x: (jnp.sort(s), s), "its operation 'sort' cannot be part of a kernel"),
        (lambda s, x: (s[jnp.argmax(s)] + s, s), "'argmax' cannot be part of a kernel"),
        (lambda s, x: (s, s > 0), "it takes or returns bool"),
        (lambda s, x: (jnp.outer(s, s) @ s, s), "are multiplied with one another, over 40 terms"),
        (lambda s, x: ((jnp.ones((40, 40)) @ s)[::-1], s), "it computes 1"),
        (
            lambda s, x: (jnp.ones((40, 4000)) @ (jnp.ones((4000, 40)) @ s), s),
            "its weights take 2048000 bytes, more than 655360",
        ),
        (
            lambda s, x: (jnp.reshape(jnp.outer(s, s).T, -1)[::41], s),
            "it computes 6481 parts of values, more than 1500",
        ),
    ],
)
def test_the_reason_against_a_kernel_is_told(step, reason):
    s = jax.ShapeDtypeStruct((40,), jnp.float32)
    assert re.search(reason, str(kernel_of(close_over(step, s, s), s, s, 100)))


def network_of_two(s, x):
    s = jnp.tanh(0.2 * s[::-1] + x)
    return s, s


@pytest.mark.slow
@pytest.mark.parametrize("reverse", [False, True])
def test_chunks_in_kernels_answer_as_the_plain_loop(reverse):
    """With steps left over and two sequences; slow, since an interpreted kernel takes 20 s to compile."""
    xs = weights(2, 4 * 64 + 3, 2)
    solver = ps.Chunked(chunks=4)

    def run(scan, x, **options):
        return scan(network_of_two, jnp.zeros(2), x, reverse=reverse, **options)

    with compiling_for("gpu", kernels=True):
        chunks = ps.rollout(network_of_two, jnp.zeros(2), xs[0], reverse=reverse, solver=solver).stats.chunks
        found = jax.vmap(lambda x: run(ps.scan, x, solver=solver))(xs)
    assert int(chunks) == 4
    close(found, jax.vmap(lambda x: run(jax.lax.scan, x))(xs), units=16)


@pytest.mark.slow
def test_what_does_not_forget_is_taken_step_by_step_in_a_kernel():
    """Slow, as above."""
    xs = weights(4 * 64 + 3, 2)

    def step(s, x):
        return s + x, s

    with compiling_for("gpu", kernels=True):
        solution = ps.rollout(step, jnp.zeros(2), xs, solver=ps.Chunked(chunks=4))
    assert bool(solution.stats.fell_back)
    close(solution.ys, jax.lax.scan(step, jnp.zeros(2), xs)[1], units=300)


@pytest.mark.slow
def test_a_chunk_that_remembers_without_a_copy_is_not_accepted_in_a_kernel():
    """Copies of other chunks meet, so that the judgment at the junction alone can refuse it. Slow, as above."""
    chunks, rows = 16, 32
    kept = np.full((chunks, rows), 0.2, np.float32)
    kept[3] = 1
    xs = jnp.asarray(kept.reshape(-1)), weights(chunks * rows, 2)

    def step(s, x):
        s = x[0] * s + x[1]
        return s, s

    with compiling_for("gpu", kernels=True):
        solution = ps.rollout(step, jnp.zeros(2), xs, solver=ps.Chunked(chunks=chunks, trial_steps=rows))
    assert bool(solution.stats.fell_back)
    close(solution.ys, jax.lax.scan(step, jnp.zeros(2), xs)[1], units=300)


def loss(scale):
    return ps.scan(lambda s, x: network_of_two(s * scale, x), jnp.zeros(2), weights(4096, 2))[1].sum()


def test_kernels_are_for_programs_that_a_gpu_runs():
    """Not for those that are exported, which JAX refuses."""
    with compiling_for("gpu", kernels=True):
        assert kernels_in(loss) >= 4
    with compiling_for("gpu"):
        assert kernels_in(loss) == 0


@pytest.mark.slow
def test_rows_back_in_time_are_kernels_too(monkeypatch):
    """Slow: a dozen interpreted kernels are compiled."""
    found, made = [], in_kernels.kernel_of
    step, init, _ = network(10)
    xs = weights(4096, 10)

    def seen(closed, carry, x, steps):
        kernel = made(closed, carry, x, steps)
        # The rows of the way back hold the state before, inputs, and the cotangent that arrives.
        found.append((len(jax.tree.leaves(x)), isinstance(kernel, RowKernel)))
        return kernel

    def slope(scan):
        return jax.grad(lambda scale: jnp.sin(scan(lambda s, x: step(scale * s, x), init, xs)[1]).sum())(0.9)

    monkeypatch.setattr(in_kernels, "kernel_of", seen)
    with compiling_for("gpu", kernels=True):
        close(slope(ps.scan), slope(jax.lax.scan), units=4096)
    assert (3, True) in found


def kernels_in(function):
    """How many kernels a program holds."""
    return str(jax.make_jaxpr(function)(1.0)).count("pallas_call")


def test_how_rows_are_launched_can_be_asked():
    def asked(step, **options):
        with compiling_for("gpu", **options):
            return ps.explain(step, jnp.zeros(2), jnp.ones((4096, 2))).launches

    assert asked(network_of_two, kernels=True) == "each stretch of rows is one kernel"
    assert asked(network_of_two) == "8 rows are launched in each turn of a loop"
    sorting = asked(lambda s, x: (jnp.sort(jnp.tanh(s + x)), s), kernels=True)
    assert "since there is no kernel for them: its operation 'sort' cannot be part of a kernel" in sorting
    assert ps.explain(network_of_two, jnp.zeros(2), jnp.ones((20_000, 2))).launches is None
