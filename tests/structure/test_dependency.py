"""Primitives one by one: exactly where entries only move, and random compositions against what is observed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from combinations import some
from parascan.programs.structure import dependency_pattern

SIZE = 6


def pattern_of(fn, *operands, size=SIZE):
    return dependency_pattern(
        lambda s, *rest: jnp.ravel(fn(s, *rest)), jax.ShapeDtypeStruct((size,), jnp.float32), *operands
    )


def origins(fn):
    """Which state entry each output entry is, by running on the numbers 1, 2, ...; none where the output is not one."""
    out = np.nan_to_num(np.ravel(jax.jit(fn)(jnp.arange(1.0, SIZE + 1))))
    return out[:, None] == np.arange(1, SIZE + 1)


def table(s):
    return s.reshape(2, 3)


def scattered_windows(s):
    numbers = lax.ScatterDimensionNumbers((1,), (0,), (0,))
    indices = jnp.array([[2], [0], [9]])
    return lax.scatter(jnp.zeros((4, 2)), indices, s.reshape(3, 2), numbers, mode="drop")


MOVES = {
    "reshape": lambda s: table(s).reshape(3, 2),
    "transpose": lambda s: table(s).T,
    "transpose of three axes": lambda s: s.reshape(1, 2, 3).transpose(2, 0, 1),
    "broadcast": lambda s: jnp.broadcast_to(table(s)[:, None], (2, 4, 3)),
    "broadcast along": lambda s: lax.broadcast_in_dim(s, (SIZE, 2), (0,)),
    "repeat": lambda s: jnp.repeat(s, 2),
    "tile": lambda s: jnp.tile(table(s), (2, 2)),
    "slice": lambda s: table(s)[:, 1:],
    "strided slice": lambda s: s[1::2],
    "reversed": lambda s: table(s)[::-1, :],
    "concatenate": lambda s: jnp.concatenate([table(s), jnp.zeros((2, 2)), table(s)[:, :1]], 1),
    "stack": lambda s: jnp.stack([s, s[::-1]], 1),
    "unstack": lambda s: jnp.concatenate(jnp.unstack(table(s), axis=1)),
    "split": lambda s: jnp.concatenate(jnp.split(s, [1, 4])[::-1]),
    "pad": lambda s: lax.pad(table(s), 0.0, ((1, 0, 2), (-1, 2, 0))),
    "pad with an entry": lambda s: lax.pad(s[1:], s[0], ((2, 1, 1),)),
    "crop": lambda s: lax.pad(s, 0.0, ((-2, -1, 0),)),
    "squeeze": lambda s: jnp.squeeze(s.reshape(1, 6, 1)),
    "expand": lambda s: jnp.expand_dims(s, (0, 2)),
    "roll": lambda s: jnp.roll(table(s), 1, 1),
    "flip": jnp.flip,
    "copy": lambda s: jnp.array(s, copy=True),
    "cast": lambda s: s.astype(jnp.float16).astype(jnp.int32),
    "reduce precision": lambda s: lax.reduce_precision(s, 8, 10),
    "stop gradient": lax.stop_gradient,
    "barrier": lambda s: jnp.concatenate(lax.optimization_barrier((s, s[::-1]))),
    "take": lambda s: s[jnp.array([4, -1, 0, 0])],
    "take rows": lambda s: table(s)[jnp.array([1, 0, 1])],
    "take along axis": lambda s: jnp.take_along_axis(table(s), jnp.array([[2, 0], [1, 1]]), 1),
    "take with fill": lambda s: jnp.take(s, jnp.array([2, 17, -9]), mode="fill", fill_value=0.0),
    "take with clip": lambda s: jnp.take(s, jnp.array([2, 17]), mode="clip"),
    "take modulo": lambda s: s[(jnp.arange(SIZE) * 2 + 1) % SIZE],
    "take by table": lambda s: s[jnp.array([3, 1, 2, 0, 5, 4])[jnp.array([5, 4, 0])]],
    "vmapped take": lambda s: jax.vmap(lambda row, i: row[i])(table(s), jnp.array([2, 0])),
    "dynamic slice": lambda s: lax.dynamic_slice(table(s), (1, 1), (1, 2)),
    "dynamic slice, clamped": lambda s: lax.dynamic_slice(s, (5,), (3,)),
    "dynamic update": lambda s: lax.dynamic_update_slice(jnp.zeros((3, 4)), table(s), (2, -1)),
    "set": lambda s: s.at[jnp.array([1, 3])].set(0.0),
    "set from": lambda s: jnp.zeros(8).at[jnp.array([7, 0, 3, 2, 5, 6])].set(s),
    "set windows": scattered_windows,
    "vmapped set": lambda s: jax.vmap(lambda row, i: row.at[i].set(0.0))(table(s), jnp.array([2, 0])),
    "scatter add": lambda s: jnp.zeros((2, 4)).at[:, 1:].add(table(s)),
    "where": lambda s: jnp.where(jnp.arange(SIZE) % 2 == 0, s, s[::-1]),
    "select among three": lambda s: lax.select_n(jnp.array([0, 2, 1, 0, 2, 1]), s, s[::-1], jnp.zeros(SIZE)),
    "triangle": lambda s: jnp.tril(jnp.broadcast_to(s, (3, SIZE))),
    "diagonal": lambda s: jnp.diag(s),
    "mapped": lambda s: lax.map(lambda row: row[::-1], table(s)),
    "scanned backward": lambda s: lax.scan(lambda c, x: (c, x), 0, s, reverse=True)[1],
    "shifted by a scan": lambda s: lax.scan(lambda c, x: (x, c), 0.0, s)[1],
    "shifted by a backward scan": lambda s: lax.scan(lambda c, x: (x, c), 0.0, s, reverse=True)[1],
    "written by a loop": lambda s: lax.fori_loop(0, 3, lambda i, c: c.at[i].set(s[i + 2]), jnp.zeros(4)),
    "called": jax.jit(jax.checkpoint(lambda s: jax.jit(jnp.flip)(s))),
    "device": jax.device_put,
    "product with a permutation": lambda s: jnp.eye(SIZE)[::-1] @ s,
    "batched product": lambda s: jnp.einsum("bij,bj->bi", jnp.stack([jnp.eye(3), jnp.eye(3)[::-1]]), table(s)),
    "product from the left": lambda s: jnp.einsum("ij,jk->ki", table(s), jnp.eye(3)[:, 1:]),
    "masked sum": lambda s: jnp.sum(jnp.diag(s), 1),
}


@pytest.mark.parametrize("name", MOVES)
def test_movement_is_followed_exactly(name):
    np.testing.assert_array_equal(pattern_of(MOVES[name]), origins(MOVES[name]))


ROWS = np.kron(np.eye(2, dtype=bool), np.ones((1, 3), bool))
COLUMNS = np.kron(np.ones((1, 2), bool), np.eye(3, dtype=bool))
PREFIX = np.tril(np.ones((SIZE, SIZE), bool))
ALL = np.ones((SIZE, SIZE), bool)
SAME = np.eye(SIZE, dtype=bool)
IN_ROW = np.kron(np.eye(2, dtype=bool), np.ones((3, 3), bool))

COMBINATIONS = {
    "sum": (lambda s: table(s).sum(1), ROWS),
    "max": (lambda s: table(s).max(0), COLUMNS),
    "argmax": (lambda s: jnp.argmax(table(s), 1), ROWS),
    "cumsum": (jnp.cumsum, PREFIX),
    "cumsum along rows": (lambda s: jnp.cumsum(table(s), 1), PREFIX & IN_ROW),
    "backward cummax": (lambda s: lax.cummax(s, reverse=True), PREFIX.T),
    "logsumexp": (lambda s: jax.nn.logsumexp(table(s), 1), ROWS),
    "softmax": (lambda s: jax.nn.softmax(table(s), 1), IN_ROW),
    "sort rows": (lambda s: jnp.sort(table(s), 1), IN_ROW),
    "sort with payload": (lambda s: lax.sort((s[:3], s[3:]))[1], np.ones((3, SIZE), bool)),
    "outer": (
        lambda s: jnp.outer(s[:2], s[2:4]),
        [[1, 0, 1, 0, 0, 0], [1, 0, 0, 1, 0, 0], [0, 1, 1, 0, 0, 0], [0, 1, 0, 1, 0, 0]],
    ),
    "norms": (lambda s: jnp.einsum("ij,ij->i", table(s), table(s)), ROWS),
    "add twice": (lambda s: jnp.zeros(2).at[jnp.array([0, 0, 1])].add(s[:3]), [[1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]]),
    "set twice": (lambda s: jnp.zeros(2).at[jnp.array([0, 0, 1])].set(s[:3]), [[1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]]),
    "scale in place": (lambda s: s.at[1:].multiply(s[:-1]), SAME | np.eye(SIZE, k=-1, dtype=bool)),
    "apply in place": (lambda s: s.at[1].apply(jnp.sin), ALL),
    "predicate": (lambda s: jnp.where(s[0] > 0, s, 1.0), SAME | (np.arange(SIZE) == 0)),
    "branch": (lambda s: lax.cond(s[0] > 0, jnp.sin, jnp.flip, s), SAME | SAME[::-1] | (np.arange(SIZE) == 0)),
    "three branches": (
        lambda s: lax.switch(s[0].astype(int), [jnp.sin, jnp.cos, jnp.flip], s),
        SAME | SAME[::-1] | (np.arange(SIZE) == 0),
    ),
    "table": (lambda s: jnp.arange(9.0)[s.astype(int)], SAME),
    "table of rows": (lambda s: jnp.ones((9, 2))[s[:2].astype(int)], np.repeat(SAME[:2], 2, 0)),
    "own lookup": (lambda s: s[s.astype(int)], ALL),
    "moving window": (lambda s: lax.dynamic_slice(s, (s[0].astype(int),), (2,)), ALL[:2]),
    "inverse": (lambda s: jnp.linalg.solve(jnp.eye(3), s[:3]), ALL[:3] & (np.arange(SIZE) < 3)),
    "transform": (lambda s: jnp.abs(jnp.fft.fft(s)), ALL),
    "zero times": (lambda s: s * jnp.array([1.0, 0, 1, 0, 0, 1]), SAME & np.array([1, 0, 1, 0, 0, 1], bool)),
    "zero over": (lambda s: jnp.array([1.0, 0, 1, 0, 0, 1]) / jnp.exp(s), SAME & np.array([1, 0, 1, 0, 0, 1], bool)),
    "over zero": (lambda s: s / jnp.zeros(SIZE), SAME),
    "integer zero over": (lambda s: lax.div(jnp.zeros(SIZE, int), s.astype(int)), SAME),
    "cosine of zero": (lambda s: s * jnp.cos(jnp.zeros(SIZE)), SAME),
    "power zero": (lambda s: s[::-1] * jnp.zeros(SIZE) ** 0, SAME[::-1]),
    "empty product": (lambda s: s * jnp.prod(jnp.zeros((0, SIZE)), 0), SAME),
    "running sum": (lambda s: lax.scan(lambda c, x: (c + x, c + x), 0.0, s)[1], PREFIX),
    "long running sum": (
        lambda s: lax.scan(lambda c, x: (c + x, c), s[0], jnp.zeros(100))[1][:1],
        ALL[:1] & (np.arange(SIZE) == 0),
    ),
    "long sum": (lambda s: lax.scan(lambda c, x: (c + x, None), 0.0, jnp.tile(s, 20))[0], ALL[:1]),
    "long shift register": (lambda s: lax.fori_loop(0, 100, lambda i, c: jnp.roll(c, 1), s), ALL),
    "rounds until": (
        lambda s: lax.while_loop(lambda c: c[0] < 3, lambda c: c.at[1].add(1.0), s),
        SAME | (np.arange(SIZE) == 0),
    ),
    "debug print": (lambda s: (jax.debug.print("{}", s), jnp.sin(s))[1], SAME),
}


@pytest.mark.parametrize("name", COMBINATIONS)
def test_combinations_are_followed(name):
    fn, expected = COMBINATIONS[name]
    np.testing.assert_array_equal(pattern_of(fn), np.asarray(expected, bool))


def test_operands_tell_nothing_but_their_shape():
    np.testing.assert_array_equal(pattern_of(lambda s, i: s[i], jnp.array([1, 1])), ALL[:2])
    np.testing.assert_array_equal(
        pattern_of(lambda s, on: jnp.where(on, s, s[::-1]), jnp.ones(SIZE, bool)), SAME | SAME[::-1]
    )


def test_a_carry_that_spreads_slowly_is_followed_to_the_end():
    assert pattern_of(lambda s: lax.fori_loop(0, 100, lambda i, c: jnp.roll(c, 1), s), size=40).all()


def test_a_mutable_array_hides_the_flow():
    def step(s):
        cell = jax.new_ref(jnp.zeros(SIZE))
        cell[...] = s
        return cell[...][::-1]

    assert pattern_of(step).all()


def test_deep_loops_end():
    def step(s):
        def outer(c, _):
            return lax.scan(lambda d, x: (jnp.roll(d, 1) * x, None), c, jnp.ones(50))[0], None

        return lax.scan(outer, s, None, length=60)[0]

    assert pattern_of(step).all()


def random_mask(rng, shape):
    return jnp.asarray(rng.random(shape) < 0.4)


def random_indices(rng, count, size):
    return jnp.asarray(rng.integers(0, size, count))


def square(x):
    return x.reshape(x.shape[0], -1)


def scanned(rng, x):
    weights = random_mask(rng, x.shape[1:])
    return lax.scan(lambda c, row: (jnp.where(weights, c + row, c[::-1]), c * row), jnp.zeros_like(x[0]), x)[1]


def looped(rng, x):
    rounds, keep = (3, 70)[int(rng.integers(2))], random_mask(rng, x.shape)
    return lax.fori_loop(0, rounds, lambda i, c: jnp.where(keep, jnp.tanh(c), 0.5 * c + 0.1), x)


def branched(rng, x):
    mask = random_mask(rng, x.shape)
    return lax.cond(x[0, 0] > 0, lambda y: jnp.where(mask, y, 0.0), lambda y: y[::-1], x)


def rounds_until(rng, x):
    keep = random_mask(rng, x.shape)
    return lax.while_loop(
        lambda c: c[1] < 3, lambda c: (jnp.where(keep, c[0], jnp.sin(c[0])), c[1] + jnp.abs(c[0][0, 0]) + 1), (x, 0.0)
    )[0]


STEPS = [
    lambda rng, x: jnp.tanh(x),
    lambda rng, x: x * jnp.where(random_mask(rng, x.shape), 1.5, 0.0),
    lambda rng, x: x.T,
    lambda rng, x: x[::-1],
    lambda rng, x: x.reshape(x.shape[1], x.shape[0]),
    lambda rng, x: jnp.roll(x, int(rng.integers(1, 3)), int(rng.integers(2))),
    lambda rng, x: x + x.sum(1, keepdims=True) * random_mask(rng, (x.shape[0], 1)),
    lambda rng, x: x[random_indices(rng, 3, x.shape[0])],
    lambda rng, x: x.at[random_indices(rng, 2, x.shape[0])].add(x[:2]),
    lambda rng, x: x.at[:, random_indices(rng, 1, x.shape[1])].set(0.3),
    lambda rng, x: lax.pad(x, 0.0, ((1, -1, 0), (-1, 1, 0))),
    lambda rng, x: jnp.concatenate([x[1:], jnp.sin(x[:1])]),
    lambda rng, x: (jnp.asarray(rng.normal(size=(x.shape[0],) * 2)) * random_mask(rng, (x.shape[0],) * 2)) @ x,
    lambda rng, x: jnp.where(random_mask(rng, x.shape), x, jnp.flip(x)),
    lambda rng, x: jnp.where(x > 0, x, jnp.flip(x, 1)),
    lambda rng, x: lax.dynamic_update_slice(x, x[:1, :1] ** 2, (1, 0)),
    lambda rng, x: jnp.cumsum(x, int(rng.integers(2))),
    lambda rng, x: jnp.sort(x, int(rng.integers(2))),
    lambda rng, x: x + jnp.floor(jnp.max(x, 0, keepdims=True)),
    lambda rng, x: jax.nn.relu(x) - jax.jit(jnp.flip)(x) * random_mask(rng, x.shape),
    lambda rng, x: jax.vmap(lambda row, i: row.at[i].multiply(row[0]))(x, random_indices(rng, x.shape[0], x.shape[1])),
    scanned,
    looped,
    branched,
    rounds_until,
]


def random_program(seed):
    """A chain of random primitives, the same at every call."""

    def run(s):
        rng = np.random.default_rng(seed)
        x = s.reshape(2, 3)
        for _ in range(int(rng.integers(2, 7))):
            x = STEPS[rng.integers(len(STEPS))](rng, x)
        return x.ravel()

    return run


@pytest.mark.parametrize("seed", some(range(40), *range(0, 40, 3)))
def test_random_programs_stay_within_their_pattern(seed):
    fn = random_program(seed)
    rng = np.random.default_rng(seed)
    pattern = pattern_of(fn)
    both = jax.jit(lambda s: (fn(s), jax.jacfwd(fn)(s)))
    for _ in range(3):
        state = rng.normal(size=SIZE).astype(np.float32)
        value, jacobian = map(np.asarray, both(state))
        assert not ((jacobian != 0) & ~pattern).any()
        for j in range(SIZE):
            changed = np.asarray(both(state + 1.3 * np.eye(SIZE, dtype=np.float32)[j])[0]) != value
            assert not (changed & ~pattern[:, j]).any()


def test_random_patterns_are_not_trivial():
    shares = [pattern_of(random_program(seed)).mean() for seed in range(40)]
    assert np.median(shares) < 0.6
