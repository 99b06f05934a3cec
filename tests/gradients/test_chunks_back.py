"""The way back of a network in chunks: accepted where rounding alone keeps its runs apart, else the plain loop."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import parascan as ps
from combinations import exhaustive
from parascan.adjoint import implicit
from parascan.chunked import engine, passes
from parascan.programs.built_in import here
from plain_loops import spoil_plain_loops


def network(units, length, gain=0.7, inputs=8, seed=0):
    keys = jr.split(jr.key(seed), 4)
    weights = gain * jr.normal(keys[0], (units, units)) / units**0.5, jr.normal(keys[1], (units, inputs)) / inputs**0.5
    return weights, jr.normal(keys[2], (length, inputs)), jr.normal(keys[3], (length, units))


def loss(scan, weights, xs, cotangents):
    own, given = weights
    states = scan(lambda s, x: (jnp.tanh(own @ s + given @ x),) * 2, jnp.zeros(len(own), own.dtype), xs)[1]
    return jnp.sum(cotangents * states)


def gradient(scan, wanted=0):
    return jax.jit(jax.grad(lambda *args: loss(scan, *args), argnums=wanted))


def alike(length, units):
    return np.ones((length, units), np.float32)


def rare(length, units):
    return np.where(np.arange(length) % 7 == 0, 30.0, 1e-3)[:, None] * np.ones(units, np.float32)


@pytest.mark.parametrize(
    ("units", "length", "gain", "given"),
    [
        (64, 17984, 0.7, alike),
        *exhaustive(
            [(64, 50000, 0.7, None), (100, 20000, 0.6, alike), (100, 20000, 0.7, rare), (48, 30000, 0.8, alike)]
        ),
    ],
)
def test_runs_back_that_only_rounding_keeps_apart_are_accepted(units, length, gain, given, monkeypatch):
    spoil_plain_loops(monkeypatch, jnp.nan)
    weights, xs, cotangents = network(units, length, gain)
    cotangents = cotangents if given is None else jnp.asarray(given(length, units), jnp.float32)
    found = gradient(ps.scan)(weights, xs, cotangents)
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in found)


SLOW, MIXED = [0.99] * 16, [0.5] * 15 + [0.999]
ROWS, ENTRIES = np.arange(20000)[:, None], np.arange(16)


@pytest.mark.parametrize(
    ("decay", "cotangents"),
    [
        (MIXED, np.where(ENTRIES < 15, 1e6, 1e-3) + 0 * ROWS),
        (SLOW, np.where(ROWS % 64 < 16, 1e5, 1e-3) + 0 * ENTRIES),
        *exhaustive([(MIXED, np.where((ROWS % 40 < 20) & (ENTRIES == 15), 1e5, 1.0))]),
    ],
    ids=["small beside large", "bursts", "bursts in the slow entry"],
)
def test_large_cotangents_excuse_no_memory_of_others(decay, cotangents, monkeypatch):
    """Copies that lie have all chunks tried: the judgment alone has to refuse what still remembers its start."""
    real = engine.forget_ahead

    def lying(*args):
        found = real(*args)
        return found._replace(met=found.met | True, horizon=found.row + 40)

    def loss(scan, xs, own):
        states = scan(lambda s, x: (jnp.tanh(own @ s + x),) * 2, jnp.zeros(16, xs.dtype), xs)[1]
        return jnp.sum(states * jnp.asarray(cotangents, xs.dtype))

    def found(scan, dtype):
        xs = jnp.asarray(0.01 * np.random.default_rng(1).normal(size=(20000, 16)), dtype)
        return jax.jit(jax.grad(lambda *args: loss(scan, *args), argnums=(0, 1)))(
            xs, jnp.diag(jnp.asarray(decay, dtype))
        )

    with jax.enable_x64(True):
        exact = found(jax.lax.scan, jnp.float64)
    theirs = found(jax.lax.scan, jnp.float32)
    monkeypatch.setattr(engine, "forget_ahead", lying)
    ours = found(ps.scan, jnp.float32)
    for each in zip(ours, theirs, exact, strict=True):
        mine, other, true = (np.asarray(leaf, np.float64) for leaf in each)
        errors = [np.max(np.abs(leaf - true) / np.abs(true)) for leaf in (mine, other)]
        assert errors[0] <= 8 * errors[1]


def test_a_way_back_that_is_refused_is_that_of_the_plain_loop(monkeypatch):
    weights, xs, cotangents = network(24, 20000)
    monkeypatch.setattr(passes, "excess", lambda true, other, allowed: jnp.full(_chunks(true), jnp.inf, jnp.float32))
    found = gradient(ps.scan, (0, 1))(weights, xs, cotangents)
    expected = gradient(jax.lax.scan, (0, 1))(weights, xs, cotangents)
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5 * float(jnp.max(jnp.abs(theirs))))


def _chunks(tree):
    return jax.tree.leaves(tree)[0].shape[1]


def test_nothing_of_the_plain_loop_is_computed_where_chunks_are_accepted():
    """XLA moves out of a loop what does not depend on its state, also where the loop takes no turn."""
    length = 20000
    compiled = gradient(ps.scan).lower(*network(24, length)).compile()
    computations = re.split(r"\n(?=(?:ENTRY )?%?[\w.\-]+ \()", compiled.as_text())
    left_out = {name for part in computations for name in _left_out(part)}

    def loops(turns):
        parts = [part for part in computations if f'"known_trip_count":{{"n":"{turns}"}}' in part]
        return {re.findall(r"[\w.\-]+", part.removeprefix("ENTRY"))[0] for part in parts}

    assert len(loops(length)) == 3
    assert loops(length) <= left_out
    # One loop over portions of the steps is for the readout of all of them; others prepare the plain loop.
    portions = loops(length // here().portion)
    assert len(portions) == 3
    assert len(portions - left_out) == 1


def _left_out(part):
    """Computations that one calls only on some condition: first branches, and bodies of loops of unknown turns."""
    yield from re.findall(r"branch_computations=\{%?([\w.\-]+)", part)
    for line in part.splitlines():
        if " while(" in line and "known_trip_count" not in line:
            yield from re.findall(r"body=%?([\w.\-]+)", line)


def test_a_plain_network_goes_back_to_its_inputs_as_the_plain_loop_does():
    """Its stored slopes and one product a step cost less than to take its steps once more in chunks."""
    weights, xs, cotangents = network(32, 17984)
    ours, theirs = (gradient(scan, 1)(weights, xs, cotangents) for scan in (ps.scan, jax.lax.scan))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("units", "inputs", "length", "double"),
    [(19, 2, 55731, True), *exhaustive([(13, 2, 250007, False), (19, 2, 300007, False), (15, 3, 70001, True)])],
)
def test_odd_lengths_keep_the_way_back_of_a_cell_in_chunks(units, inputs, length, double, monkeypatch):
    """Steps left over are a copy of inputs and outputs, little beside the sums of weights in every step of the loop."""
    seen = []

    class Told(implicit.Pullback):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            seen.append(self.side_by_side)

    def loss(cell, xs):
        def step(state, x):
            state = cell(x, state)
            return state, state[0]

        return jnp.sum(ps.scan(step, (jnp.zeros(units, xs.dtype),) * 2, xs)[1])

    monkeypatch.setattr(implicit, "Pullback", Told)
    with jax.enable_x64(double):
        dtype = jnp.float64 if double else jnp.float32
        cell = eqx.nn.LSTMCell(inputs, units, key=jr.key(0), dtype=dtype)
        eqx.filter_eval_shape(eqx.filter_grad(loss), cell, jax.ShapeDtypeStruct((length, inputs), dtype))
    assert seen == [True]


def test_a_way_back_that_is_not_cut_is_still_one_pass(monkeypatch):
    """Its linearizations are stored, and its weights are summed for many steps at once: the plain loop does neither."""
    seen, real = [], implicit._in_one_system
    monkeypatch.setattr(implicit, "_in_one_system", lambda *args: seen.append(True) or real(*args))
    monkeypatch.setattr(implicit.Pullback, "side_by_side", False)
    weights, xs, cotangents = network(24, 20000)
    jax.eval_shape(jax.grad(lambda weights: loss(ps.scan, weights, xs, cotangents)), weights)
    assert seen == [True]
