"""Samplers as recurrences ``x' = scale x + slope eps(x, t) + deviation z``: DDIM, DDPM and Euler for an SDE."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ..linear import ScalarTransition
from ..problem.flat_recurrence import Recurrence
from ..solution import Trajectory, Tree
from ..solvers import AbstractLinearization, Newton
from ..solvers.linearizations import UpdateWork
from .levels import checked_levels


class Inputs(NamedTuple):
    """What drives the steps of a sampler, each leaf with leading axis T.

    Attributes:
        time: what the network is told of the level.
        scale: factor of the state.
        slope: factor of the predicted noise.
        deviation: factor of the fresh noise.
        noise: fresh standard normal noise, of the state's shape; None where no step takes any.
    """

    time: Array
    scale: Float[Array, " T"]
    slope: Float[Array, " T"]
    deviation: Float[Array, " T"]
    noise: Tree


class Sampler(eqx.Module):
    """A sampler; made by ``ddim``, ``ddpm`` or ``euler_sde``.

    Attributes:
        eps: the network ``(x, t) -> predicted noise``.
        times: what the network is told before each step ``[T]``.
        scale: factor of the state in each step ``[T]``.
        slope: factor of the predicted noise ``[T]``.
        deviation: factor of the fresh noise ``[T]``.
        left: deviation of the noise that is left before each step ``[T]``.
        noisy: whether steps take fresh noise at all.
    """

    eps: Callable[[Any, Any], Any]
    times: Array
    scale: Float[Array, " T"]
    slope: Float[Array, " T"]
    deviation: Float[Array, " T"]
    left: Float[Array, " T"]
    noisy: bool = eqx.field(static=True)

    @property
    def steps(self) -> int:
        """T, the number of steps."""
        return self.scale.shape[0]

    def noise(self, key: Key[Array, ""], x: Float[Array, "..."]) -> Float[Array, "T ..."] | None:
        """Fresh noise for all steps; None where no step takes any.

        Args:
            key: random key.
            x: a state, for its shape and dtype.
        """
        x = jnp.asarray(x)
        return jax.random.normal(key, (self.steps, *x.shape), x.dtype) if self.noisy else None

    def inputs(self, x: Float[Array, "..."], noise: Float[Array, "T ..."] | None) -> Inputs:
        """What drives the steps, in the dtype of the state.

        Args:
            x: the first state.
            noise: fresh noise of all steps.
        """
        cast = lambda leaf: leaf.astype(x.dtype)  # noqa: E731
        return Inputs(self.times, cast(self.scale), cast(self.slope), cast(self.deviation), noise)

    def __call__(self, x: Float[Array, "..."], inputs: Inputs) -> Float[Array, "..."]:
        """The next state: one evaluation of the network.

        Args:
            x: the state.
            inputs: of this step.
        """
        return advanced(x, self.eps(x, inputs.time), inputs)

    def picard(self) -> Newton:
        """Picard iteration with the factor of the state in each step taken along: no derivative of the network.

        The factor is known exactly, so that only the network's part is frozen in an iteration; for DDIM these are the
        iterations of Picard in the variable in which its steps add up.
        """
        return Newton(KnownFactor())


class KnownFactor(AbstractLinearization):
    """The factor of the state in each step of a sampler, in the place of its Jacobian."""

    @property
    def exact(self) -> bool:
        """False: the network is left out."""
        return False

    def transition(self, problem: Recurrence, states: Trajectory, iteration: Int[Array, ""]) -> ScalarTransition:
        """One number a step."""
        given = problem.inputs[0] if isinstance(problem.inputs, tuple) and problem.inputs else None
        if not isinstance(given, Inputs):
            raise TypeError(
                "solver: given a sampler's picard() elsewhere, expected it on the single steps of a sampler."
            )
        return ScalarTransition(given.scale, problem.size)

    def update_work(self) -> UpdateWork:
        """The work of an update: no derivative, and a linear recurrence of one number a step."""
        return UpdateWork(0, diagonal=True)


def advanced(x: Float[Array, "..."], eps: Float[Array, "..."], inputs: Inputs) -> Float[Array, "..."]:
    """The next state where the network's answer is known.

    Args:
        x: the state.
        eps: the predicted noise.
        inputs: of this step.
    """
    after = inputs.scale * x + inputs.slope * eps
    return after if inputs.noise is None else after + inputs.deviation * inputs.noise


def ddim(eps: Callable[[Any, Any], Any], levels: Array, *, times: Array | None = None, eta: float = 0.0) -> Sampler:
    """The sampler of denoising diffusion implicit models.

    Args:
        eps: ``(x, t) -> predicted noise``, of the state's shape; a batch is an axis of x that it knows, or comes from
            ``jax.vmap``.
        levels: the signal's share of the variance before each step, and after the last, ascending to at most 1
            ``[T + 1]``, such as ``cosine_levels(T)``.
        times: what ``eps`` is told before each step ``[T]``; from 1 down to 1/T when None.
        eta: share of the fresh noise, from 0, none, to 1, that of ``ddpm``.

    Raises:
        TypeError: ``eps`` is not callable.
        ValueError: levels that do not ascend, times of another number, or ``eta`` out of its range.

    Source: Song, Meng and Ermon 2021, equation 12.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> sampler = ps.samplers.ddim(lambda x, t: jnp.tanh(x), ps.samplers.cosine_levels(50))
        >>> ps.samplers.sample(sampler, jnp.ones(3), bound=False).x.shape
        (3,)
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta: given {eta}, expected 0 to 1.")
    before, after, times = _prepared(eps, levels, times)
    fresh = eta * jnp.sqrt((1 - after) / (1 - before) * (1 - before / after))
    scale = jnp.sqrt(after / before)
    slope = jnp.sqrt(jnp.maximum(1 - after - fresh**2, 0)) - scale * jnp.sqrt(1 - before)
    return Sampler(eps, times, scale, slope, fresh, jnp.sqrt(1 - before), eta > 0)


def ddpm(eps: Callable[[Any, Any], Any], levels: Array, *, times: Array | None = None) -> Sampler:
    """The ancestral sampler of denoising diffusion probabilistic models, with the variance of the posterior.

    Args:
        eps: as for ``ddim``.
        levels: as for ``ddim``.
        times: as for ``ddim``.

    Raises:
        TypeError: ``eps`` is not callable.
        ValueError: levels that do not ascend, or times of another number.

    Source: Ho et al. 2020, algorithm 2 with equation 7.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> sampler = ps.samplers.ddpm(lambda x, t: jnp.tanh(x), ps.samplers.cosine_levels(50))
        >>> noise = sampler.noise(jax.random.key(0), jnp.ones(3))
        >>> ps.samplers.sample(sampler, jnp.ones(3), noise, bound=False).x.shape
        (3,)
    """
    return ddim(eps, levels, times=times, eta=1.0)


def euler_sde(eps: Callable[[Any, Any], Any], levels: Array, *, times: Array | None = None) -> Sampler:
    """Euler and Maruyama's steps for the reverse of the variance-preserving SDE.

    With ``b`` the noise rate integrated over a step, ``x' = (1 + b / 2) x - b eps / sigma + sqrt(b) z``.

    Args:
        eps: as for ``ddim``.
        levels: as for ``ddim``.
        times: as for ``ddim``.

    Raises:
        TypeError: ``eps`` is not callable.
        ValueError: levels that do not ascend, or times of another number.

    Source: Song et al. 2021, equations 6 and 11 for the variance-preserving SDE.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> sampler = ps.samplers.euler_sde(lambda x, t: jnp.tanh(x), ps.samplers.linear_levels(50))
        >>> noise = sampler.noise(jax.random.key(0), jnp.ones(3))
        >>> ps.samplers.sample(sampler, jnp.ones(3), noise, bound=False).x.shape
        (3,)
    """
    before, after, times = _prepared(eps, levels, times)
    rate, left = jnp.log(after / before), jnp.sqrt(1 - before)
    return Sampler(eps, times, 1 + rate / 2, -rate / left, jnp.sqrt(rate), left, True)


def _prepared(eps: Callable[[Any, Any], Any], levels: Array, times: Array | None) -> tuple[Array, Array, Array]:
    """Levels before and after each step, and what the network is told."""
    if not callable(eps):
        raise TypeError(f"eps: given {type(eps).__name__}, expected a function (x, t) -> predicted noise.")
    levels = checked_levels(levels)
    steps = levels.shape[0] - 1
    times = jnp.asarray(np.linspace(1.0, 0.0, steps + 1)[:-1], levels.dtype) if times is None else jnp.asarray(times)
    if times.shape[:1] != (steps,):
        raise ValueError(f"times: given shape {list(times.shape)}, expected [{steps}], one before each step.")
    return levels[:-1], levels[1:], times
