"""Which backend ``backend="auto"`` takes, and why: static facts only, so the same call always runs the same way."""

import jax

from ..programs.built_in import here
from ..programs.platform import platform_of
from ._abstract import AbstractComposableTransition, AbstractTransition
from .block_diagonal import BlockTransition
from .transitions import DenseTransition

SHORT = 64
"""Longest recurrence for which a loop of small kernels is no deeper than a tree with its slicing and joining: a tree
over 64 steps has 12 levels of some five kernels each."""

LONG = 8
"""Least steps of a chunk for which the two-level backend pays, with as many chunks as suit the machine."""

MANY_ENTRIES = 2**25
"""Least entries of all matrices for which it pays. A tree reads and writes them some ten times: 0.4 ms at 3.35 TB a
second. A fixed depth of 16 rows or so takes as long to launch, at 2.5 microseconds a kernel."""

LONG_WITHOUT_PRODUCTS = 4096
"""Least steps for which matrices that cannot be multiplied with each other are run in chunks that contract."""


def choose_backend(transition: AbstractTransition, length: int, platform: str | None = None) -> str:
    """Name of the backend that ``backend="auto"`` runs for such a recurrence; ``explain_backend`` says why.

    Over matrices that are not stored, ``"contracting"`` for long recurrences and ``"sequential"`` for short ones. Over
    stored matrices, ``"sequential"`` on a CPU; on an accelerator ``"sequential"`` for short recurrences, ``"chunked"``
    for long and large dense and block recurrences, ``"associative"`` for the rest.

    Args:
        transition: the transition, or one of the same structure, size and dtype.
        length: T, number of steps.
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``; by default that of the matrices, or where JAX would put them.

    Returns:
        ``"sequential"``, ``"associative"``, ``"chunked"`` or ``"contracting"``.

    Examples:
        >>> import jax.numpy as jnp
        >>> from parascan.linear import DiagonalTransition
        >>> choose_backend(DiagonalTransition(jnp.ones((8, 2))), 10**6, "cpu")
        'sequential'
    """
    return _decide(transition, length, platform or platform_of(transition))[0]


def explain_backend(transition: AbstractTransition, length: int, platform: str | None = None) -> str:
    """One sentence on why ``choose_backend`` decides as it does for the same arguments.

    Args:
        transition: the transition, or one of the same structure, size and dtype.
        length: T, number of steps.
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``; by default that of the matrices, or where JAX would put them.

    Returns:
        The name of the backend and the reason.

    Examples:
        >>> import jax.numpy as jnp
        >>> from parascan.linear import DiagonalTransition
        >>> print(explain_backend(DiagonalTransition(jnp.ones((8, 2))), 10, "gpu"))
        sequential: 10 steps are at most 64, too few for a tree to be shallower than a loop
    """
    name, reason = _decide(transition, length, platform or platform_of(transition))
    return f"{name}: {reason}"


def _decide(transition: AbstractTransition, length: int, platform: str) -> tuple[str, str]:
    """Backend and reason."""
    structure = type(transition).__name__
    if not isinstance(transition, AbstractComposableTransition):
        if length >= LONG_WITHOUT_PRODUCTS:
            return "contracting", f"{length} steps of a {structure}: chunks side by side, where products contract"
        return "sequential", f"a {structure} has no matrices to multiply with each other"
    if platform == "cpu":
        # Measured on 2 cores at T = 65536, float32 and float64, forward and transposed: 2 to 18 times as fast as the
        # two-level form for dense matrices (D = 4 to 64), 0.6 to 3 for diagonal ones (D = 1 to 512, mostly above 1),
        # and 0.9 to 44 times as fast as the tree.
        return (
            "sequential",
            "on a CPU a compiled loop step costs little more than its arithmetic, of which it has least",
        )
    if length <= SHORT:
        return "sequential", f"{length} steps are at most {SHORT}, too few for a tree to be shallower than a loop"
    entries = length * sum(leaf.size // max(len(leaf), 1) for leaf in jax.tree.leaves(transition.slices))
    blocks = isinstance(transition, DenseTransition | BlockTransition)
    if blocks and length >= LONG * here(platform).products and entries >= MANY_ENTRIES:
        return "chunked", f"{length} steps of a {structure}: half the matrix products of a tree, at a fixed depth"
    return "associative", f"{length} steps of a {structure}: its products are cheap or few, so the shallowest form wins"
