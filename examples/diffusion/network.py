"""A small network that predicts the noise in pictures of digits, and its training."""

import importlib.util
import itertools
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from parascan.samplers import cosine_levels

PIXELS, WIDTH, FREQUENCIES = 64, 256, 16
BATCH = 256


def digits(path: Path | None = None) -> Float[np.ndarray, "N 64"]:
    """The handwritten digits of scikit-learn, 8 by 8 pixels from -1 to 1.

    Args:
        path: of a table with 64 pixels from 0 to 16 and the label in each row; the one in the installed package when
            None, of which only this file is used.

    Raises:
        FileNotFoundError: scikit-learn is not installed.
    """
    if path is None:
        found = importlib.util.find_spec("sklearn")
        if found is None or found.origin is None:
            raise FileNotFoundError("The digits are in scikit-learn, which is not installed: make diffusion-demo.")
        path = Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz"
    rows = np.loadtxt(path, delimiter=",", ndmin=2)
    return np.asarray(rows[:, :PIXELS] / 8 - 1, np.float32)


class Network(eqx.Module):
    """Three hidden layers, each of which is told the time anew; its answer is the noise in a picture."""

    layers: tuple[eqx.nn.Linear, ...]
    of_time: tuple[eqx.nn.Linear, ...]

    def __init__(self, key: Key[Array, ""]) -> None:
        """Fresh weights."""
        sizes = (PIXELS, WIDTH, WIDTH, WIDTH, PIXELS)
        keys = jax.random.split(key, 2 * len(sizes))
        pairs = list(itertools.pairwise(sizes))
        self.layers = tuple(eqx.nn.Linear(*pair, key=each) for pair, each in zip(pairs, keys, strict=False))
        self.of_time = tuple(eqx.nn.Linear(2 * FREQUENCIES, WIDTH, key=each) for each in keys[len(sizes) : -2])

    def __call__(self, x: Float[Array, " D"], time: Float[Array, ""]) -> Float[Array, " D"]:
        """The predicted noise.

        Args:
            x: a noisy picture.
            time: from 1, noise, to 0, data.
        """
        angles = time.astype(x.dtype) * jnp.pi * jnp.arange(1, FREQUENCIES + 1, dtype=x.dtype) / 2
        told = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)])
        hidden = x
        for layer, of_time in zip(self.layers[:-1], self.of_time, strict=True):
            hidden = jax.nn.silu(layer(hidden) + of_time(told))
        return self.layers[-1](hidden)


def trained(data: Float[np.ndarray, "N 64"], steps: int, key: Key[Array, ""]) -> tuple[Network, Float[Array, " steps"]]:
    """A network trained to predict the noise, and its losses.

    Args:
        data: pictures.
        steps: of Adam, with batches of 256.
        key: random key.
    """
    first, second = jax.random.split(key)
    network, pictures = Network(first), jnp.asarray(data)
    levels = cosine_levels(1000)
    rates = optax.cosine_decay_schedule(2e-3, steps)
    optimizer = optax.adam(rates)

    def loss(network: Network, key: Array) -> Array:
        keys = jax.random.split(key, 3)
        chosen = pictures[jax.random.randint(keys[0], (BATCH,), 0, len(pictures))]
        places = jax.random.randint(keys[1], (BATCH,), 0, 1000)
        noise = jax.random.normal(keys[2], chosen.shape)
        share = levels[places][:, None]
        noisy = jnp.sqrt(share) * chosen + jnp.sqrt(1 - share) * noise
        answers = jax.vmap(network)(noisy, 1 - places / 1000)
        return jnp.mean((answers - noise) ** 2)

    def step(carry: tuple, key: Array) -> tuple[tuple, Array]:
        network, state = carry
        value, gradient = jax.value_and_grad(loss)(network, key)
        updates, state = optimizer.update(gradient, state)
        return (eqx.apply_updates(network, updates), state), value

    run = jax.jit(lambda carry, keys: jax.lax.scan(step, carry, keys))
    (network, _), losses = run((network, optimizer.init(network)), jax.random.split(second, steps))
    return network, losses
