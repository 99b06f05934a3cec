"""A program run over lanes gives what ``jax.vmap`` gives, lane by lane."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from parascan.lanes.program import over_lanes

LANES = 5
W = jnp.asarray(np.random.default_rng(0).normal(size=(4, 4)), jnp.float32)
CELL = eqx.nn.GRUCell(4, 4, key=jax.random.key(1))


def inner_scan(s, x):
    return jax.lax.scan(lambda c, r: (jnp.tanh(c + r), c), s, jnp.outer(x, s))


def threefry(s, x):
    key = jax.random.fold_in(jax.random.key(0), jnp.int32(100 * x[0]))
    return s + jax.random.normal(key, s.shape)


FUNCTIONS = {
    "matrix first": lambda s, x: W @ jnp.tanh(s) + x,
    "matrix last": lambda s, x: jnp.tanh(s @ W) + x,
    "matrix state": lambda s, x: jnp.outer(s, x) @ W + W @ jnp.outer(x, s),
    "product of lanes": lambda s, x: jnp.outer(s, x) @ jnp.outer(x, x) @ s,
    "weight of higher rank": lambda s, x: jnp.tensordot(jnp.outer(s, x), jnp.stack([W, W + 1, W, W]), 2),
    "state times weights": lambda s, x: jnp.einsum("ij,kjl->ikl", jnp.outer(s, x), jnp.stack([W, W + 1])),
    "cell": lambda s, x: CELL(x, s),
    "bias": lambda s, x: s + jnp.arange(4.0) * 2,
    "pieces": lambda s, x: jnp.concatenate([s[1:], x[:1], jnp.ones(2)]),
    "shapes": lambda s, x: (s.reshape(2, 2).T.ravel()[:, None] + x[None, :])[..., None].squeeze(-1),
    "choice": lambda s, x: jnp.where(s > x, s, 0.0) + jnp.clip(x, -1, 1) + jnp.max(s),
    "branch": lambda s, x: jax.lax.cond(x[0] > 0, jnp.sin, jnp.cos, s),
    "table": lambda s, x: W[jnp.int32(x[0] > 0)] + s,
    "inner loop": inner_scan,
    "custom derivative": lambda s, x: jax.nn.relu(s) + jax.nn.softplus(x),
    "random": threefry,
    "constant output": lambda s, x: (s, jnp.ones(3)),
    "complex": lambda s, x: jnp.abs(jnp.fft.fft(s + 1j * x)),
    "checkpoint": lambda s, x: jax.checkpoint(lambda s: jnp.sin(s) * x)(s),
    "jit": lambda s, x: jax.jit(lambda s: jnp.sin(s) * x)(s),
    "sorted": lambda s, x: jnp.sort(s) + jnp.cumsum(x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_lanes_are_those_of_vmap(name, getkey):
    function = FUNCTIONS[name]
    s, x = jax.random.normal(getkey(), (LANES, 4)), jax.random.normal(getkey(), (LANES, 4))
    lanes = over_lanes(function, (True, True), s[0], x[0])
    given = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), lanes(s.T, x.T))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), given, jax.vmap(function)(s, x))


def test_what_is_alike_for_all_lanes_is_computed_once(getkey):
    def function(weights, s):
        return jnp.tanh(weights @ weights) @ s

    lanes = over_lanes(function, (False, True), W, W[0])
    shapes = [
        eqn.outvars[0].aval.shape
        for eqn in jax.make_jaxpr(lanes)(W, jnp.ones((4, LANES))).eqns
        if eqn.primitive.name == "dot_general"
    ]
    assert shapes == [(4, 4), (4, LANES)]


def test_products_keep_the_lanes_last(getkey):
    """A transposition in the loop would cost as much as the product."""
    lanes = over_lanes(lambda s, x: W @ s + s @ W + jnp.concatenate([x[:2], s[:2]]), (True, True), W[0], W[0])
    names = {eqn.primitive.name for eqn in jax.make_jaxpr(lanes)(jnp.ones((4, LANES)), jnp.ones((4, LANES))).eqns}
    assert "transpose" not in names
