"""The damped step of a trust region over devices: that of one device, with one map a device exchanged."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from over_devices import largest_message, mesh_of

from combinations import fewer, one_of_each
from parascan.linear import BlockTransition, DenseTransition, DiagonalTransition, ScalarTransition, damped_solve
from parascan.programs.device_axis import axis_of

D = 3


def transition(form, length):
    dense = jnp.asarray(np.random.default_rng(0).normal(size=(length, D, D)))
    return {
        "dense": lambda: DenseTransition(dense),
        "diagonal": lambda: DiagonalTransition(dense[:, 0]),
        "scalar": lambda: ScalarTransition(dense[:, 0, 0], D),
        "block": lambda: BlockTransition(dense[:, None, :2, :2].repeat(2, 1), np.arange(4).reshape(2, 2)),
    }[form]()


@pytest.mark.parametrize(
    ("form", "length", "known"),
    fewer(
        one_of_each(list(product(["dense", "diagonal", "scalar", "block"], [64, 61], [0, 20]))),
        "dense-64-0",
        "scalar-64-0",
        "block-61-20",
    ),
)
def test_a_step_over_devices_is_that_of_one(form, length, known):
    """Systems that grow, and leading steps that are known on a device and a half."""
    devices = axis_of(mesh_of("automatic", time=4))
    with jax.enable_x64(True):
        A = transition(form, length)
        r = jnp.asarray(np.random.default_rng(1).normal(size=(length, 4 if form == "block" else D)))
        done = jnp.arange(length) < known
        r = jnp.where(done[:, None], 0.0, r)
        given = jax.jit(lambda A, r: damped_solve(A, r, 0.3, done, devices=devices))(A, r)
        np.testing.assert_allclose(given, damped_solve(A, r, 0.3, done), atol=1e-12)
        assert (np.asarray(given[:known]) == 0).all()


@pytest.mark.slow
def test_messages_are_a_map_a_device_whatever_the_length():
    mesh = mesh_of("automatic", time=4)
    solve = lambda A, r: damped_solve(A, r, 0.3, devices=axis_of(mesh))  # noqa: E731
    for length in (64, 512):
        A = transition("dense", length)
        assert 0 < largest_message(solve, A, jnp.ones((length, D), A.slices.dtype)) <= 4 * (D**2 + D)


@pytest.mark.slow  # compiles what accelerators run, for seconds
def test_chunks_within_devices_as_an_accelerator_takes_them(monkeypatch):
    from parascan.linear import covariances

    monkeypatch.setattr(covariances, "platform_of", lambda *_: "gpu")
    monkeypatch.setattr(covariances, "layout", lambda length: (4, -(-length // 4)))
    devices = axis_of(mesh_of("automatic", time=4))
    with jax.enable_x64(True):
        for length in (64, 60):
            A, r = transition("dense", length), jnp.ones((length, D))
            given = damped_solve(A, r, 0.3, devices=devices)
            np.testing.assert_allclose(given, damped_solve(A, r, 0.3), atol=1e-12)
