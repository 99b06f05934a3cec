"""Lyapunov exponents of a step along its own trajectory."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ...problem.arguments import as_arrays
from ...problem.flat_recurrence import Recurrence, ScanProblem
from ...problem.signature import resolve
from ...programs.compile_cache import ProgramCache
from ...programs.platform import on_its_platform
from ...solution import StepFunction, Trajectory, Tree
from ...solvers.old_arguments import with_old_argument
from ..certificate.slopes import first_slopes_are_wrong
from .exponents import LyapunovEstimate, summarize
from .spectrum import log_stretches

WARM_UP_SHARE = 20
"""The default warm-up is T over this number."""

LONGEST_WARM_UP = 1000
"""Most steps of the default warm-up."""

WARM_UP_MULTIPLE = 16
"""The default warm-up is a multiple of so many steps."""


@with_old_argument("lanes")
@on_its_platform
def lyapunov_exponents(
    step: StepFunction,
    init: Tree,
    xs: Tree = None,
    length: int | None = None,
    *,
    key: Key[Array, ""],
    k: int = 1,
    directions: int = 3,
    warm_up: int | None = None,
    dt: float = 1.0,
    windows: int | None = None,
    states: Tree = None,
    chunks: int | None = None,
    burn_in: int | None = None,
) -> LyapunovEstimate:
    """How fast neighboring trajectories part: the largest exponents, the first negative for predictable systems.

    Pushes frames of ``k`` vectors through the Jacobians by Jacobian-vector products, makes them orthonormal after
    every step and averages the logarithms of the stretches. The states come first, one step after the other, unless
    they are given. Then chunks of the trajectory push their frames side by side; each frame starts some steps before
    its chunk, the burn-in, so that it has turned when it counts. Depth T, or T over the number of chunks where the
    states are given. Work ``T`` steps, ``directions k`` products for each and a quarter more. Memory
    ``T directions k`` numbers and the states; long trajectories are worked off stretch by stretch.

    Args:
        step: ``(state, x) -> state`` or ``(carry, x) -> (carry, y)``.
        init: initial state, any tree; only floating leaves are perturbed.
        xs: inputs, each leaf with leading axis T, or None.
        length: T; needed when ``xs`` is None.
        key: random key of the start directions.
        k: number of exponents, from the largest; D at most.
        directions: number of random start directions, or frames when ``k`` is above one.
        warm_up: leading steps that turn the directions but do not count; a few times ``1/|gap to the next exponent|``
            steps remove the bias of a random start. T/20 and at most 1000 when None.
        dt: time that one step stands for, in the user's unit of time.
        windows: number of equal windows along the data for which finite-time exponents are returned; the last one takes
            the steps that are left over. None for none.
        states: the trajectory where it is known, as ``rollout`` returns it: a tree like ``init`` with leading axis T.
        chunks: into how many chunks each stretch of the trajectory is cut, which run side by side; chosen by the sizes
            when None. 1 is algorithm 1 of the paper as published.
        burn_in: steps for which a frame turns before its chunk; a quarter of the chunk when None.

    Returns:
        A ``LyapunovEstimate``: the exponents per step and per unit of time, their intervals, and by-products; NaN with
        intervals that hold everything where differences of the first steps show that the step's derivative is not that
        of its value, as with ``jax.lax.stop_gradient``.

    Raises:
        TypeError: the step returns neither form, or ``states`` is no tree like ``init``.
        ValueError: T is zero, a number outside its range, lengths that disagree, or a step without forward derivative.

    Source: algorithm 1 of the paper; Benettin et al. 1980; intervals by batch means (Conway 1963).

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> halve = lambda s, x: 0.5 * s
        >>> estimate = ps.lyapunov_exponents(halve, jnp.ones(2), length=100, key=jax.random.key(0))
        >>> round(float(estimate.per_step), 4)
        -0.6931
    """
    counts = {"k": k, "directions": directions, "windows": windows, "chunks": chunks}
    for name, value in counts.items():
        if value is not None:
            _check_integer(name, value, 1)
    for name, value in {"warm_up": warm_up, "burn_in": burn_in}.items():
        if value is not None:
            _check_integer(name, value, 0)
    if not dt > 0:
        raise ValueError(f"dt: given {dt}, expected a positive duration of one step.")
    options = _Options(length, k, directions, warm_up, float(dt), windows, chunks, burn_in)
    return _programs(step, as_arrays("init", init), as_arrays("xs", xs), as_arrays("states", states), key, options)


class _Options(eqx.Module):
    """Everything about a call that is known before compilation."""

    length: int | None = eqx.field(static=True)
    k: int = eqx.field(static=True)
    directions: int = eqx.field(static=True)
    warm_up: int | None = eqx.field(static=True)
    dt: float = eqx.field(static=True)
    windows: int | None = eqx.field(static=True)
    chunks: int | None = eqx.field(static=True)
    burn_in: int | None = eqx.field(static=True)


def _check_integer(name: str, value: int, least: int) -> None:
    """Refuse a count that is none."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: given {value!r}, expected an integer.")
    if value < least:
        raise ValueError(f"{name}: given {value}, expected {least} or more.")


def _estimate(
    step: StepFunction, init: Tree, xs: Tree, states: Tree, key: Key[Array, ""], options: _Options
) -> LyapunovEstimate:
    """The estimate, as one traceable function of everything."""
    signature = resolve(step, init, xs, options.length, scan_form=False)
    length = signature.length
    if length == 0:
        raise ValueError("length: given 0, expected one step or more to measure an exponent on.")
    warm_up = options.warm_up
    if warm_up is None:
        warm_up = min(length // WARM_UP_SHARE, LONGEST_WARM_UP) // WARM_UP_MULTIPLE * WARM_UP_MULTIPLE
    if warm_up >= length:
        raise ValueError(f"warm_up: given {warm_up}, expected zero or more and less than T = {length}.")
    if options.windows is not None and options.windows > length:
        raise ValueError(f"windows: given {options.windows}, expected at most T = {length}.")
    problem = ScanProblem.of(signature, reverse=False)
    recurrence = problem.recurrence
    if options.k > recurrence.size:
        raise ValueError(f"k: given {options.k}, expected at most D = {recurrence.size}.")
    known = None if states is None else _flat_states(problem, signature.init, states)
    frames = random_frames(key, options.directions, options.k, recurrence)
    divides = math.gcd(warm_up, length // options.windows if options.windows else 0)
    found = log_stretches(recurrence, frames, known, options.chunks, options.burn_in, divides)
    # Exponents of another function than the step would be told otherwise.
    wrong = first_slopes_are_wrong(recurrence, known, key)
    found = found._replace(logs=jnp.where(wrong, jnp.nan, found.logs))
    how = "algorithm 1" if options.k == 1 else "QR of pushed frames"
    cut = found.windows
    if cut.chunks > 1:
        how += f" in {cut.segments * cut.chunks} chunks with {cut.burn_in} steps of burn-in"
    return summarize(found, warm_up, options.windows, options.dt, recurrence.size, how)


def random_frames(key: Key[Array, ""], count: int, k: int, recurrence: Recurrence) -> Float[Array, "V k D"]:
    """Orthonormal frames, uniformly distributed."""
    vectors = jax.random.normal(key, (count, recurrence.size, k), recurrence.dtype)
    if k == 1:
        return (vectors / jnp.linalg.norm(vectors, axis=1, keepdims=True)).swapaxes(1, 2)
    return jnp.linalg.qr(vectors)[0].swapaxes(1, 2)


def _flat_states(problem: ScanProblem, init: Tree, states: Tree) -> Trajectory:
    """A known trajectory as flat states.

    Raises:
        TypeError: not a tree like the initial carry.
        ValueError: shapes that do not fit.
    """
    if jax.tree.structure(states) != jax.tree.structure(init):
        raise TypeError(
            f"states: given a tree {jax.tree.structure(states)}, expected one like init, {jax.tree.structure(init)}."
        )
    length = problem.recurrence.length
    for given, leaf in zip(jax.tree.leaves(states), jax.tree.leaves(init), strict=True):
        if given.shape != (length, *leaf.shape):
            raise ValueError(f"states: given a leaf of shape {given.shape}, expected {(length, *leaf.shape)}.")
    return problem.flatten(states)


_programs = ProgramCache(_estimate)
