"""The record of the machine decides which way a call runs, and never what it answers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chunked_runs import close, inputs

import parascan as ps
from combinations import exhaustive
from parascan.chunked import choose_chunks
from parascan.programs import built_in
from parascan.programs.machine import NUMBERS

T = 40_000
LARGEST_FACTOR = 10
"""By which a number may be off, and calls may be cheaper: else most machines would leave so short a sequence alone."""
UNITS = 16
"""Units of rounding of the largest entry: two to four times what is accepted where two chunks meet."""


def random_machine(seed):
    """A record whose times and gains are off by up to the largest factor, each by its own, and with any caches."""
    rng = np.random.default_rng(seed)
    known = built_in.built_in("cpu")
    sizes = {
        "near_bytes": int(2 ** rng.integers(12, 19)),
        "near_ways": int(2 ** rng.integers(1, 5)),
        "far_bytes": int(2 ** rng.integers(18, 31)),
        "vector_bytes": int(2 ** rng.integers(4, 8)),
        "few": int(10 ** rng.uniform(1, 5)),
        "portion": int(2 ** rng.integers(0, 10)),
        "stored": int(rng.integers(0, 20)),
        "apart": int(rng.integers(0, 20)),
        "known_bytes": int(2 ** rng.integers(0, 20)),
        "products": int(2 ** rng.integers(3, 12)),
    }
    others = [name for name in NUMBERS if name not in sizes and name != "cores"]
    factors = (LARGEST_FACTOR ** rng.uniform(-1, 1, len(others))).tolist()
    times = {name: getattr(known, name) * factor for name, factor in zip(others, factors, strict=True)}
    times["call"] /= LARGEST_FACTOR
    times["gain"], times["gain_near"] = rng.uniform(1, 10, 2).tolist()
    return dataclasses.replace(known, **sizes, **times)


def forgetting(D, gain):
    weights = (np.random.default_rng(D).normal(size=(D, D)) * gain / np.sqrt(D)).astype(np.float32)

    def step(s, x):
        s = jnp.tanh(weights @ s + x)
        return s, s

    return step, jnp.zeros(D), inputs("float32", T, D)


def chaotic():
    def step(s, x):
        s = 3.9 * s * (1 - s) + 0 * x
        return s, s

    return step, jnp.full(2, 0.3), inputs("float32", T, 2)


MACHINES = [random_machine(seed) for seed in range(14)]
CALLS = {"small": (2, 0.5), "large": (64, 0.3)}


@pytest.fixture
def on(monkeypatch):
    """A way to run calls on another machine."""

    def move(machine):
        monkeypatch.setattr(built_in, "of_platform", lambda platform, double, known: machine)

    return move


@pytest.mark.parametrize(("name", "call"), exhaustive([("small", ps.rollout), ("large", ps.scan)]))
def test_answers_are_the_same_on_every_machine(on, name, call):
    """Other chunks, or none: the chosen way differs, and what comes back agrees with ``jax.lax.scan``."""
    step, init, xs = forgetting(*CALLS[name])
    expected = jax.lax.scan(step, init, xs)
    ways = set()
    for machine in MACHINES:
        on(machine)
        # Another function, so that it is traced anew.
        found = call(lambda s, x: step(s, x), init, xs)
        foreseen = ps.explain(step, init, xs)
        if isinstance(found, ps.Solution):
            assert int(found.stats.chunks) == foreseen.chunks
            found = found.carry, found.ys
        close(found, expected, "float32", UNITS)
        ways.add(foreseen.chunks)
    assert len(ways) >= 4


@pytest.mark.slow
def test_iterations_are_the_same_on_every_machine(on):
    """Jacobians that are stored or not, predictions in other portions, weights known to the compiler or not."""
    step, init, xs = forgetting(6, 0.5)
    xs = xs[:1000]
    expected = jax.lax.scan(step, init, xs)
    solvers = (ps.deer(), ps.MultipleShooting(ps.deer(), 20))
    for machine in (dataclasses.replace(MACHINES[0], stored=0, apart=0, portion=7, known_bytes=0), *MACHINES[1:3]):
        on(machine)
        for solver in solvers:
            found = ps.rollout(lambda s, x: step(s, x), init, xs, solver=solver)
            close((found.carry, found.ys), expected, "float32", UNITS)


def test_a_chaotic_system_is_never_accepted_on_any_machine(on):
    step, init, xs = chaotic()
    expected = jax.lax.scan(step, init, xs)
    for machine in MACHINES[::2]:
        on(machine)
        found = ps.scan(lambda s, x: step(s, x), init, xs)
        assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))


def test_gradients_are_the_same_on_every_machine(on):
    step, init, xs = forgetting(*CALLS["small"])

    def loss(scan, init):
        return jnp.sum(scan(lambda s, x: step(s, x), init, xs)[1][:100] ** 2)

    expected = jax.grad(lambda init: loss(jax.lax.scan, init))(init)
    for machine in MACHINES[:3]:
        on(machine)
        np.testing.assert_allclose(jax.grad(lambda init: loss(ps.scan, init))(init), expected, rtol=1e-4)


def test_a_record_can_be_handed_down(on):
    """Who gives one to the choice asks no machine."""
    on(None)
    from_record = {choose_chunks(T, 12, 500.0, platform="cpu", machine=machine) for machine in MACHINES}
    assert len(from_record) >= 3
