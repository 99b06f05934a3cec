"""What draws say of a distribution: means, deviations, and how far they can be trusted."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from ..solution import Tree


class Summary(eqx.Module):
    """Numbers for each entry of a position, in the order of its leaves; printed, a table.

    Attributes:
        names: of the entries.
        mean: over all chains and draws ``[D]``.
        deviation: standard deviation ``[D]``.
        r_hat: split R-hat; above 1.01 the chains do not agree ``[D]``.
        effective: effective sample size of the mean, over all chains ``[D]``.
        acceptance: mean probability of acceptance.
        divergent: share of transitions that diverged.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    mean: Float[Array, " D"]
    deviation: Float[Array, " D"]
    r_hat: Float[Array, " D"]
    effective: Float[Array, " D"]
    acceptance: Float[Array, ""]
    divergent: Float[Array, ""]

    def __str__(self) -> str:
        width = max(len(name) for name in self.names)
        lines = [f"{'':{width}}       mean  deviation   R-hat  effective"]
        rows = zip(self.names, self.mean, self.deviation, self.r_hat, self.effective, strict=True)
        for name, mean, deviation, r_hat, effective in rows:
            lines.append(f"{name:{width}} {mean:10.4g} {deviation:10.4g} {r_hat:7.3f} {effective:10.0f}")
        lines.append(f"acceptance {float(self.acceptance):.2f}, divergent {float(self.divergent):.2g}")
        return "\n".join(lines)


def summarize(positions: Tree, acceptance: Array, divergent: Array) -> Summary:
    """The summary of some draws.

    Args:
        positions: tree with leaves ``[chain, draw, ...]``.
        acceptance: ``[chain, draw]``.
        divergent: ``[chain, draw]``.
    """
    flat = jax.vmap(jax.vmap(lambda position: ravel_pytree(position)[0]))(positions)
    return Summary(
        _names(positions),
        flat.mean((0, 1)),
        flat.std((0, 1)),
        split_r_hat(flat),
        effective_sample_size(flat),
        acceptance.mean(),
        divergent.mean(),
    )


def _names(positions: Any) -> tuple[str, ...]:
    """A name for each entry of a position."""
    found: list[str] = []
    for path, leaf in jax.tree_util.tree_flatten_with_path(positions)[0]:
        name = name_of(path)
        found.extend(f"{name}{list(place)}" if place else name for place in np.ndindex(leaf.shape[2:]))
    return tuple(found)


def name_of(path: Any) -> str:
    """The name of a leaf of a position; ``x`` where the position is a single array.

    Args:
        path: of the leaf, as ``jax.tree_util`` gives it.
    """
    return jax.tree_util.keystr(path).strip("[].'\"") or "x"


def _halves(draws: Float[Array, "chain draw *rest"]) -> Float[Array, "halves half *rest"]:
    """Every chain cut into two, without a draw that is left over."""
    half = draws.shape[1] // 2
    return jnp.concatenate([draws[:, :half], draws[:, half : 2 * half]])


def split_r_hat(draws: Float[Array, "chain draw *rest"]) -> Float[Array, "*rest"]:
    """Split R-hat: how much larger the spread of all half chains together is than that within them.

    Near 1 the halves agree. Not a number with fewer than four draws; infinite where halves do not move and differ.

    Args:
        draws: of one or more chains.

    Source: Gelman et al. 2013, section 11.4.
    """
    if draws.shape[1] < 4:
        return jnp.full(draws.shape[2:], jnp.nan, draws.dtype)
    halves = _halves(draws)
    count = halves.shape[1]
    within = halves.var(1, ddof=1).mean(0)
    between = halves.mean(1).var(0, ddof=1)
    return jnp.sqrt((count - 1) / count + between / within)


def effective_sample_size(draws: Float[Array, "chain draw *rest"]) -> Float[Array, "*rest"]:
    """Effective sample size of the mean, from the autocorrelations of all half chains.

    Sums of neighboring autocorrelations are taken as long as they are positive, each no larger than the one before.

    Args:
        draws: of one or more chains, four draws or more; else not a number.

    Source: Geyer 1992; Vehtari et al. 2021, section 3.2.
    """
    if draws.shape[1] < 4:
        return jnp.full(draws.shape[2:], jnp.nan, draws.dtype)
    halves = _halves(draws)
    chains, count = halves.shape[:2]
    centered = halves - halves.mean(1, keepdims=True)
    spectrum = jnp.fft.rfft(centered, 2 * count, axis=1)
    covariance = jnp.fft.irfft(spectrum * spectrum.conj(), 2 * count, axis=1)[:, :count] / count
    within = covariance[:, 0].mean(0) * count / (count - 1)
    total = within * (count - 1) / count + halves.mean(1).var(0, ddof=1)
    correlation = (1 - (within - covariance.mean(0)) / total).at[0].set(1)
    pairs = correlation[: count - count % 2].reshape(count // 2, 2, *correlation.shape[1:]).sum(1)
    positive = jnp.cumprod(pairs > 0, axis=0)
    falling = jax.lax.cummin(jnp.where(positive, pairs, 0), axis=0)
    time = jnp.maximum(-1 + 2 * falling.sum(0), 1 / jnp.log10(jnp.asarray(chains * count, draws.dtype)))
    return chains * count / time
