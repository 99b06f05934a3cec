"""Layers over sequences: padding, packing, both directions, streams, batches and warm starts."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import parascan as ps
from combinations import some

INPUTS, HIDDEN, LENGTH = 3, 4, 24
SOLVERS = {"default": None, "deer": ps.deer()}


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def agree(mine, other, tolerance=1e-11):
    for leaf, expected in zip(jax.tree.leaves(mine), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(leaf, expected, rtol=tolerance, atol=tolerance)


def layer(key, solver=None, **options):
    options = {"layers": 2, "bidirectional": True, **options}
    return ps.nn.stack(ps.nn.LSTMCell, INPUTS, HIDDEN, solver=solver, key=key, **options)


def one_by_one(cell, xs, reverse=False):
    """The cell in a plain loop."""
    state, outputs = cell.initial_state(), []
    for x in xs[::-1] if reverse else xs:
        state = cell(x, state)
        outputs.append(state[0])
    return jnp.stack(outputs[::-1] if reverse else outputs), state


def reference(stacked, xs):
    """The whole layer in plain loops."""
    states = []
    for part in stacked.layers:
        both = [one_by_one(part.forward.cell, xs), one_by_one(part.backward.cell, xs, reverse=True)]
        xs = jnp.concatenate([outputs for outputs, _ in both], axis=1)
        states.append(tuple(state for _, state in both))
    return xs, tuple(states)


def test_stacked_in_both_directions(getkey):
    made, xs = layer(getkey()), jax.random.normal(getkey(), (LENGTH, INPUTS))
    agree(made(xs), reference(made, xs))


@pytest.mark.parametrize("solver", some(SOLVERS, "default"))
def test_padding_has_no_influence(solver, getkey):
    made = layer(getkey(), SOLVERS[solver], layers=1)
    xs = jax.random.normal(getkey(), (3, LENGTH, INPUTS))
    padded = jnp.where(jnp.arange(LENGTH)[:, None] < jnp.array([LENGTH, 9, 1])[:, None, None], xs, jnp.nan)
    lengths = jnp.array([LENGTH, 9, 1])
    outputs, states = jax.jit(jax.vmap(lambda x, n: made(x, length=n)))(padded, lengths)
    for k, n in enumerate((LENGTH, 9, 1)):
        expected, last = reference(made, xs[k, :n])
        agree(outputs[k, :n], expected)
        assert not np.any(outputs[k, n:])
        agree(jax.tree.map(lambda leaf, k=k: leaf[k], states), last)


def test_padding_has_no_derivative(getkey):
    made, xs = layer(getkey(), layers=1), jax.random.normal(getkey(), (LENGTH, INPUTS))
    padded = xs.at[10:].set(jnp.nan)

    def loss(made, xs, length):
        outputs, state = made(xs, length=length)
        return jnp.sum(outputs**2) + sum(jnp.sum(leaf) for leaf in jax.tree.leaves(state))

    gradient = lambda xs, n: eqx.filter_jit(eqx.filter_grad(loss))(made, xs, n)  # noqa: E731
    agree(gradient(padded, 10), gradient(xs[:10], 10))


def test_an_empty_sequence_leaves_the_state(getkey):
    made = ps.nn.Recurrent(ps.nn.GRUCell(INPUTS, HIDDEN, key=getkey()))
    before = jax.random.normal(getkey(), (HIDDEN,))
    outputs, after = made(jnp.ones((5, INPUTS)), before, length=0)
    agree(after, before)
    assert not np.any(outputs)


@pytest.mark.parametrize("reverse", some([False, True], True))
def test_a_mask_holds_the_state(reverse, getkey):
    made = ps.nn.Recurrent(ps.nn.LSTMCell(INPUTS, HIDDEN, key=getkey()), ps.deer(), reverse=reverse)
    xs, mask = jax.random.normal(getkey(), (LENGTH, INPUTS)), np.arange(LENGTH) % 3 != 1
    outputs, state = made(jnp.where(mask[:, None], xs, jnp.nan), mask=mask)
    expected, last = one_by_one(made.cell, xs[mask], reverse)
    agree((outputs[mask], state), (expected, last))
    assert not np.any(outputs[~mask])


@pytest.mark.parametrize("solver", some(SOLVERS, "deer"))
def test_packed_sequences_do_not_see_one_another(solver, getkey):
    rows = 30 if solver == "default" else None
    made = layer(getkey(), SOLVERS[solver], layers=1)
    sequences = [jax.random.normal(getkey(), (length, INPUTS)) for length in (7, 1, 12)]
    packed = ps.nn.pack(sequences, rows=rows)
    outputs, _ = made(packed.values, starts=packed.starts)
    parts = packed.unpack(outputs)
    expected = [reference(made, sequence)[0] for sequence in sequences]
    for part, other in zip(parts, expected, strict=True):
        agree(part, other)
    agree(packed.last(outputs), jnp.stack([other[-1] for other in expected]))


def test_a_stream_gives_what_the_whole_gives(getkey):
    made, xs = layer(getkey(), bidirectional=False), jax.random.normal(getkey(), (LENGTH, INPUTS))
    whole, last = made(xs)
    first, state = made(xs[:10])
    second, state = made(xs[10:20], state)
    rest = []
    for x in xs[20:]:
        output, state = made.step(x, state)
        rest.append(output)
    agree(jnp.concatenate([first, second, jnp.stack(rest)]), whole)
    agree(state, last)


@pytest.mark.slow
def test_the_initial_state_has_a_derivative(getkey):
    made = ps.nn.Recurrent(ps.nn.GRUCell(INPUTS, HIDDEN, key=getkey()), ps.deer())
    xs = jax.random.normal(getkey(), (6, INPUTS))
    state = jax.tree.map(lambda leaf: leaf + 0.1, made(xs)[1])
    value = lambda state, made: jnp.sum(made(xs, state)[0] ** 2)  # noqa: E731
    gradient = eqx.filter_jit(jax.grad(value))
    agree(gradient(state, made), gradient(state, made.using(ps.Sequential())), 1e-9)


@pytest.mark.slow
def test_a_warm_start_saves_iterations_and_changes_nothing(getkey):
    xs = jax.random.normal(getkey(), (4, LENGTH, INPUTS))
    made = jax.tree.map(
        lambda leaf: 2 * leaf, ps.nn.stack(ps.nn.GRUCell, INPUTS, HIDDEN, solver=ps.deer(), key=getkey())
    )
    nearby = jax.tree.map(lambda leaf: 1.001 * leaf, made)
    warm, batch = ps.nn.WarmStart.zeros(made, xs), jnp.array([3, 1])
    run = eqx.filter_jit(jax.vmap(lambda made, x, guess: made.rollout(x, guess=guess), in_axes=(None, 0, 0)))
    cold = run(made, xs[batch], warm[batch])
    warm = warm.updated(batch, cold[2])
    again, cold = run(nearby, xs[batch], warm[batch]), run(nearby, xs[batch], 0 * ravel(warm[batch]))
    iterations = lambda result: sum(  # noqa: E731
        int(s.stats.iterations.max()) for s in jax.tree.leaves(result[2], is_leaf=lambda n: isinstance(n, ps.Solution))
    )
    assert iterations(again) < iterations(cold)
    agree(again[0], cold[0], 1e-9)
    agree(jax.tree.map(lambda leaf: leaf[0], warm[jnp.array([0])]), jax.tree.map(lambda leaf: 0 * leaf[0], warm[batch]))


class ravel:  # noqa: N801
    """A tree that can be multiplied."""

    def __init__(self, tree):
        self.tree = tree

    def __rmul__(self, factor):
        return jax.tree.map(lambda leaf: factor * leaf, self.tree)


def test_options_of_a_cell_reach_every_layer(getkey):
    made = ps.nn.stack(functools.partial(ps.nn.LEMCell, dt=0.5), INPUTS, HIDDEN, layers=2, key=getkey())
    assert [part.cell.dt for part in made.layers] == [0.5, 0.5]
    assert [part.cell.input_size for part in made.layers] == [INPUTS, HIDDEN]


@pytest.mark.slow
def test_the_default_runs_long_padded_batches_side_by_side(getkey):
    """Padding given by its length is forgotten like anything else; the blocks of the default stay in use."""
    made = ps.nn.Recurrent(ps.nn.GRUCell(INPUTS, 16, key=getkey()))
    xs = jax.random.normal(getkey(), (8192, INPUTS))
    outputs, state, solution = made.rollout(xs, length=5000)
    assert isinstance(solution.solver, ps.Chunked)
    expected, last = made.using(ps.Sequential())(xs[:5000])
    agree((outputs[:5000], state), (expected, last), 1e-11)


def _calls(key):
    made = ps.nn.Recurrent(ps.nn.GRUCell(INPUTS, HIDDEN, key=key))
    both = layer(key)
    xs = jnp.ones((6, INPUTS))
    return {
        "batch": (lambda: made(xs[None]), ValueError, r"xs: given \[1, 6, 3\], expected \[T, 3\]; batches"),
        "mask": (lambda: made(xs, mask=jnp.ones(6)), ValueError, r"mask: given float64\[6\], expected bool\[6\]"),
        "starts": (lambda: made(xs, starts=jnp.ones(5, bool)), ValueError, r"starts: given bool\[5\]"),
        "length": (
            lambda: made(xs, length=jnp.ones(2, int)),
            ValueError,
            "length: given int64.2., expected an integer",
        ),
        "both": (
            lambda: made(xs, length=3, starts=jnp.ones(6, bool)),
            ValueError,
            "starts: given together with length",
        ),
        "state": (lambda: both(xs, jnp.zeros(4)), ValueError, "state: given .*, expected a tuple of 2"),
        "stream": (lambda: both.step(xs[0]), ValueError, "step: given to a bidirectional layer"),
        "turned": (lambda: ps.nn.Bidirectional(made, made), ValueError, "backward: given reverse=False, expected True"),
        "none": (lambda: ps.nn.Stacked(()), ValueError, "layers: given none"),
        "pack": (lambda: ps.nn.pack([xs, xs[:0]]), ValueError, r"sequences\[1\]: given float64\[0, 3\]"),
        "rows": (lambda: ps.nn.pack([xs, xs], rows=11), ValueError, "rows: given 11, expected 12 or more"),
        "count": (lambda: layer(key, layers=0), ValueError, "layers: given 0, expected one or more"),
    }


@pytest.mark.parametrize("case", _calls(jax.random.key(0)))
def test_refusals(case, getkey):
    call, error, message = _calls(getkey())[case]
    with pytest.raises(error, match=message):
        call()
