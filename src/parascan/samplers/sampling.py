"""``sample``: a diffusion sample by any solver, with a bound on its error or the word that there is none."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from ..api.rollout import RolloutError, rollout
from ..diagnostics import certify
from ..problem.arguments import as_integer, check_counts
from ..solution import Result
from ..solvers import AbstractSolver
from ..solvers.criterion import AbstractCriterion, Merit, StepError
from .coarse_corrections import Parareal, through_blocks
from .coarse_start import coarse_trajectory
from .fine_steps import Inputs, Sampler
from .moving_window import through_window

BOUND_BYTES = 2**28
"""Most bytes of the Jacobians of all steps for which a bound is computed unasked."""


class Window(eqx.Module):
    """A window of steps in the place of a solver: iterated on together, it moves on by the steps within tolerance.

    Memory is that of the window's evaluations, whatever the number of steps. It has no reverse derivative.

    Args:
        size: steps of the window, one or more; all of them where there are fewer.

    Raises:
        TypeError: ``size`` is no integer.
        ValueError: ``size`` is below one.

    Source: Shih et al. 2023.

    Examples:
        >>> import jax.numpy as jnp, parascan as ps
        >>> sampler = ps.samplers.ddim(lambda x, t: jnp.tanh(x), ps.samplers.cosine_levels(50))
        >>> found = ps.samplers.sample(sampler, jnp.ones(3), solver=ps.samplers.Window(20), bound=False)
        >>> int(found.evaluations) < 50
        True
    """

    size: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        check_counts(size=self.size)


class Sample(eqx.Module):
    """A sample, and how it came about; printed, a sentence on its error.

    Attributes:
        x: the sample: the state after the last step.
        states: the states after all steps ``[T, ...]``.
        evaluations: evaluations of the network that followed one another; each may be of many steps at once. Those for
            the bound are not among them.
        jump: largest residual of a step, as a root mean square, in units of the noise that is left before the step.
        bound: on the Euclidean norm of the error of ``x``; infinite where there is none.
        result: why it stopped.
    """

    x: Float[Array, "..."]
    states: Float[Array, "T ..."]
    evaluations: Int[Array, ""]
    jump: Float[Array, ""]
    bound: Float[Array, ""]
    result: Result

    @property
    def bounded(self) -> Bool[Array, ""]:
        """Whether the error of the sample is bounded."""
        return jnp.isfinite(self.bound)

    def __str__(self) -> str:
        if isinstance(self.bound, Tracer) or self.bound.ndim:
            return repr(self)
        error = f"error at most {float(self.bound):.3g}" if bool(self.bounded) else "error not bounded"
        return (
            f"{Result[self.result] or 'successful'}: {int(self.evaluations)} evaluations in sequence for "
            f"{self.states.shape[0]} steps; {error}; largest jump of a step {float(self.jump):.3g} of its noise"
        )


def sample(
    sampler: Sampler,
    x: Float[Array, "..."],
    noise: Float[Array, "T ..."] | None = None,
    *,
    solver: AbstractSolver | Window | None = None,
    criterion: AbstractCriterion | None = None,
    coarse: int | None = None,
    max_iterations: int | None = None,
    bound: bool | None = None,
    throw: bool = True,
) -> Sample:
    """A sample from noise by any solver, equal to the sequential one up to a bound that comes with it.

    A sampler amplifies what a step is off by: a DDIM sampler of a mixture may end in another mode. The rule that stops
    the iterations judges single steps, so the bound on the sample itself is computed afterwards, from the Jacobians of
    all steps (``ps.certify``). Where these are too large, ``bound`` is infinite, and the sample prints "not bounded".

    Args:
        sampler: such as ``ddim(eps, levels)``.
        x: the first state, normal noise of deviation one; an array of any shape.
        noise: fresh noise of all steps ``[T, ...]``, for samplers that take some, as ``sampler.noise`` draws it.
        solver: ``sampler.picard()``, ``Window(size)``, ``Parareal(blocks)``, or any solver of ``ps.rollout``, such as
            ``ps.deer()`` or ``ps.Newton(ps.StochasticDiagonal(key))``; None for the default of ``ps.rollout``.
        criterion: when iterations stop; ``ps.StepError(1e-3)`` when None, weighted by the noise that is left before
            each step. ``StateError`` takes the Jacobian of every step. A window takes a ``StepError`` alone.
        coarse: evaluations of the network for a first trajectory, at most T; None to begin with ``x`` at every step.
        max_iterations: most updates; T when None.
        bound: whether to bound the error of the sample; None where the Jacobians of all steps take at most 256 MB.
        throw: raise on anything but success; with False look at ``result``.

    Returns:
        A ``Sample``.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: noise that the sampler needs and is not given, or the other way round, or of another shape;
            ``Merit`` as the criterion; an option that the solver has no use for.
        RolloutError: the solver did not succeed.

    Source: samples as fixed points over their steps, Shih et al. 2023; as recurrences judged by their exponent, the
    paper.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> levels = ps.samplers.cosine_levels(100)
        >>> sampler = ps.samplers.ddim(lambda x, t: x * jnp.sin(1.6 * t), levels)
        >>> found = ps.samplers.sample(sampler, jnp.ones(4), solver=sampler.picard(), coarse=10)
        >>> bool(found.bounded), int(found.evaluations) < 50
        (True, True)
    """
    x, noise, coarse = _checked(sampler, x, noise, coarse)
    _check_criterion(criterion, solver)
    inputs = sampler.inputs(x, noise)
    guess = None if coarse is None else coarse_trajectory(sampler, x, inputs, coarse)
    begun = 0 if coarse is None else coarse
    iterates = solver is not None and getattr(solver, "iterates", True)
    if criterion is None and iterates:
        criterion = StepError(weights=sampler.left)
    if isinstance(solver, Window | Parareal):
        _refuse_unused(solver, max_iterations, coarse)
        states, rounds = _by_itself(sampler, x, inputs, guess, solver, criterion)
        finite = jnp.all(jnp.isfinite(states))
        result = Result.where(finite, Result.successful, Result.nonfinite)
        if throw and not isinstance(finite, Tracer) and not bool(finite):
            raise RolloutError(f"{Result[result]}", None)
    else:
        found = rollout(
            sampler,
            x,
            inputs,
            solver=solver,
            criterion=criterion,
            max_iterations=max_iterations,
            guess=guess,
            throw=throw,
        )
        states, result = found.states, found.result
        rounds = found.stats.iterations + 1 if iterates else jnp.asarray(sampler.steps, jnp.int32)
    wanted = sampler.steps * x.size**2 * x.dtype.itemsize <= BOUND_BYTES if bound is None else bound
    limit = jnp.asarray(jnp.inf, x.dtype)
    if wanted:
        limit = certify(sampler, x, inputs, states).bound[-1]
    return Sample(states[-1], states, rounds + begun, _jump(sampler, x, inputs, states), limit, result)


def _checked(sampler: Any, x: Any, noise: Any, coarse: Any) -> tuple[Array, Array | None, int | None]:
    """The first state, the noise and the number of coarse evaluations."""
    if not isinstance(sampler, Sampler):
        raise TypeError(f"sampler: given {type(sampler).__name__}, expected one such as ps.samplers.ddim(eps, levels).")
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"x: given dtype {x.dtype}, expected a floating one.")
    expected = (sampler.steps, *x.shape)
    if sampler.noisy != (noise is not None):
        wanted = f"noise of shape {list(expected)}, such as sampler.noise(key, x)" if sampler.noisy else "None"
        given = "None" if noise is None else f"shape {list(np.shape(noise))}"
        raise ValueError(f"noise: given {given}, expected {wanted}.")
    if noise is not None:
        noise = jnp.asarray(noise, x.dtype)
        if noise.shape != expected:
            raise ValueError(f"noise: given shape {list(noise.shape)}, expected {list(expected)}.")
    coarse = as_integer(coarse)
    if coarse is not None:
        check_counts(coarse=coarse)
        if coarse > sampler.steps:
            raise ValueError(f"coarse: given {coarse}, expected at most T = {sampler.steps}.")
    # A Python number is weakly typed, and its first step would change its type.
    return jax.lax.convert_element_type(x, x.dtype), noise, coarse


def _check_criterion(criterion: Any, solver: Any) -> None:
    """Refuse criteria that say nothing of a sample."""
    if isinstance(criterion, Merit):
        raise ValueError(
            "criterion: given Merit(), expected StepError() or StateError(): a small merit is a mean over all steps, "
            "and a sampler amplifies the error of single ones, so that it may be met by a sample of another mode."
        )
    if isinstance(solver, Window | Parareal) and not (criterion is None or isinstance(criterion, StepError)):
        given = f"{type(criterion).__name__} with {type(solver).__name__}"
        raise ValueError(f"criterion: given {given}, expected StepError() or None.")


def _refuse_unused(solver: Window | Parareal, max_iterations: Any, coarse: Any) -> None:
    """Refuse options that a method which ends by itself has no use for."""
    name = type(solver).__name__
    if max_iterations is not None:
        raise ValueError(f"max_iterations: given {max_iterations} with {name}, expected None: it ends by itself.")
    if isinstance(solver, Parareal) and coarse is not None:
        raise ValueError(f"coarse: given {coarse} with {name}, expected None: it has a coarse start of its own.")


def _by_itself(
    sampler: Sampler, x: Array, inputs: Inputs, guess: Array | None, solver: Window | Parareal, criterion: Any
) -> tuple[Array, Array]:
    """States and evaluations in sequence by a method that is no solver of ``rollout``."""
    weights = jnp.ones_like(sampler.left) if criterion.weights is None else criterion.weights
    allowed = jnp.asarray(criterion.tol * weights, x.dtype)
    if allowed.shape != (sampler.steps,):
        raise ValueError(f"criterion.weights: given shape {list(allowed.shape)}, expected [{sampler.steps}].")
    if isinstance(solver, Parareal):
        return _run_blocks(sampler, x, inputs, min(solver.blocks, sampler.steps), allowed)
    return _run_window(sampler, x, inputs, guess, min(solver.size, sampler.steps), allowed)


_run_window = eqx.filter_jit(through_window)
_run_blocks = eqx.filter_jit(through_blocks)


@eqx.filter_jit
def _jump(sampler: Sampler, x: Array, inputs: Inputs, states: Array) -> Float[Array, ""]:
    """Largest residual of a step, in units of the noise that is left before it."""
    residuals = states - jax.vmap(sampler)(jnp.concatenate([x[None], states[:-1]]), inputs)
    squares = jnp.mean(residuals.reshape(sampler.steps, -1) ** 2, axis=1)
    return jnp.max(jnp.sqrt(squares) / sampler.left.astype(x.dtype))
