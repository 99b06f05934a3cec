"""Mixtures of normal distributions, whose noise at every level is known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np

import parascan as ps

MEANS = np.asarray([[2.0, 0.0], [-1.5, 1.5], [-0.5, -2.0]])
DEVIATION = 0.3


def exact_eps(levels):
    """The expected noise of a mixture of three alike normal distributions, given a state and the index of its level."""

    def eps(x, index):
        share = jnp.asarray(levels)[index.astype(int)].astype(x.dtype)
        variance = share * DEVIATION**2 + 1 - share
        apart = x - jnp.sqrt(share) * jnp.asarray(MEANS, x.dtype)
        weights = jax.nn.softmax(-jnp.sum(apart**2, axis=1) / (2 * variance))
        return jnp.sqrt(1 - share) * (weights @ apart) / variance

    return eps


def made(kind, steps=60, levels=None, **options):
    levels = ps.samplers.cosine_levels(steps) if levels is None else levels
    return kind(exact_eps(levels), levels, times=jnp.arange(steps, dtype=float), **options)


def written_down(sampler_name, eps, levels, x, noise, eta=0.0):
    """The samplers step by step in NumPy, from their papers."""
    states, levels = [], np.asarray(levels, float)
    for k in range(len(levels) - 1):
        now, then = levels[k], levels[k + 1]
        predicted = np.asarray(eps(jnp.asarray(x), jnp.asarray(float(k))))
        if sampler_name == "ddim":
            clean = (x - np.sqrt(1 - now) * predicted) / np.sqrt(now)
            fresh = eta * np.sqrt((1 - then) / (1 - now)) * np.sqrt(1 - now / then)
            x = np.sqrt(then) * clean + np.sqrt(1 - then - fresh**2) * predicted
            x = x + (fresh * noise[k] if eta else 0)
        elif sampler_name == "ddpm":
            alpha, beta = now / then, 1 - now / then
            x = (x - beta / np.sqrt(1 - now) * predicted) / np.sqrt(alpha)
            x = x + np.sqrt((1 - then) / (1 - now) * beta) * noise[k]
        else:
            rate = np.log(then / now)
            score = -predicted / np.sqrt(1 - now)
            x = x + rate * (x / 2 + score) + np.sqrt(rate) * noise[k]
        states.append(x)
    return np.stack(states)
