"""How perturbations grow over windows of the first steps, to be compared with the envelopes of a and b."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ...problem.arguments import as_arrays, resolve_length
from ...problem.flat_recurrence import ScanProblem
from ...problem.signature import resolve
from ...programs.compile_cache import ProgramCache
from ...solution import StepFunction, Tree
from .paths import Paths
from .products import geometric, log_norms

FIRST_STEPS = 512
"""Number of first steps that are measured."""

STARTS = 16
"""Number of windows of every length."""


class WindowGrowth(NamedTuple):
    """Norms of products of Jacobians over windows.

    Attributes:
        lengths: k, steps of the windows.
        lowest: least logarithm of a norm among the windows of a length.
        highest: largest one.
    """

    lengths: np.ndarray
    lowest: Float[Array, " K"]
    highest: Float[Array, " K"]


def window_growth(
    step: StepFunction, init: Tree, xs: Tree = None, length: int | None = None, *, key: Key[Array, ""]
) -> WindowGrowth:
    """Largest and least growth of a perturbation over windows of the first steps.

    Runs the first steps, 512 at most, and takes products of their Jacobians from 16 places, in windows up to a quarter
    as long.

    Args:
        step: ``(state, x) -> state`` or ``(carry, x) -> (carry, y)``.
        init: initial state, any tree.
        xs: inputs, each leaf with leading axis T, or None.
        length: T; needed when ``xs`` is None.
        key: random key of power iterations.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> growth = window_growth(lambda s, x: 0.5 * s, jnp.ones(2), length=100, key=jax.random.key(0))
        >>> int(growth.lengths[1]), round(float(growth.highest[1]), 4)
        (2, -1.3863)
    """
    first = min(resolve_length(xs, length), FIRST_STEPS)
    head = jax.tree.map(lambda leaf: leaf[:first], as_arrays("xs", xs))
    lowest, highest = _programs(step, as_arrays("init", init), head, key, first)
    return WindowGrowth(geometric(max(first // 4, 1)), lowest, highest)


def _measure(
    step: StepFunction, init: Tree, xs: Tree, key: Key[Array, ""], length: int
) -> tuple[Float[Array, " K"], Float[Array, " K"]]:
    """The extremes, as one traceable function."""
    recurrence = ScanProblem.of(resolve(step, init, xs, length, scan_form=False), reverse=False).recurrence
    paths = Paths.whole(recurrence, recurrence.trajectory())
    lengths = geometric(max(length // 4, 1))
    starts = paths.spread_starts(STARTS, int(lengths[-1]))
    norms = log_norms(paths, starts, lengths, key)
    return jnp.min(norms, axis=1), jnp.max(norms, axis=1)


_programs = ProgramCache(_measure, once=True)
