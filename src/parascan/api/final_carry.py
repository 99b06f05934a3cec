"""``final_carry``: the end of a long sequence from its last steps alone, where the system provably forgets the rest."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..diagnostics.proof import ProvenContraction, prove_contraction
from ..problem.arguments import as_arrays
from ..problem.signature import Signature, resolve
from ..programs.ranges import UnboundedError
from ..solution import StepFunction, Tree


class FinalCarry(eqx.Module):
    """The carry after all steps, from the last of them.

    Attributes:
        carry: as ``jax.lax.scan`` would return it first.
        bound: most by which an entry of the carry may differ from the one after all steps, apart from rounding; 0
            where all steps were taken.
        steps: how many were taken.
        contraction: what the bound rests on.
    """

    carry: Tree
    bound: float = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    contraction: ProvenContraction = eqx.field(static=True)


def final_carry(
    f: StepFunction,
    init: Tree,
    xs: Tree = None,
    length: int | None = None,
    reverse: bool = False,
    *,
    tolerance: float,
    contraction: ProvenContraction | None = None,
) -> FinalCarry:
    """The carry after all steps of a recurrence, to a tolerance, by its last steps alone.

    In a system that contracts for every state the last steps decide: what was before them can move the end by a known
    amount at most. How many are needed depends on the rate and the tolerance, not on the length of the sequence. That
    a system contracts has to be *proven*; an exponent that was measured is none, since no measurement visits every
    state. The proof is sought by bounds on every operation of the step, or given by ``contraction``. Steps it finds are
    those of linear filters, leaky averages, and networks with weights small enough; gated networks it does not.

    The inputs before the last steps are read once, to see that they are finite: a proof speaks of numbers alone. Where
    one is not, all steps are taken.

    Derivatives are those of the steps that were taken, and so miss what earlier steps add; the bound is on values.

    Args:
        f: the step, as ``scan`` or ``rollout`` takes it; its outputs are dropped.
        init: initial carry, of floating leaves.
        xs: inputs, each leaf with leading axis T, or None.
        length: T; needed when ``xs`` is None.
        reverse: whether to run from the last input to the first.
        tolerance: most by which an entry of the carry may differ, above zero.
        contraction: what you have proven, such as ``cell.contraction()`` of a ``ps.nn.ContractiveCell``. Nothing else
            is looked for then.

    Returns:
        A ``FinalCarry``: ``carry``, ``bound``, ``steps``, ``contraction``.

    Raises:
        TypeError: an argument of the wrong kind, or a carry with a leaf that is not floating.
        ValueError: a tolerance that is not above zero, or a system of which no contraction could be proven.

    Source: contraction, Lohmiller and Slotine 1998; appendix C of the paper.

    Examples:
        >>> import jax.numpy as jnp, parascan as ps
        >>> signal = jnp.sin(jnp.arange(1_000_000) / 50)
        >>> found = ps.final_carry(lambda s, x: 0.9 * s + 0.1 * x, jnp.zeros(()), signal, tolerance=1e-6)
        >>> found.steps, found.bound <= 1e-6
        (133, True)
    """
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float | np.number):
        raise TypeError(f"tolerance: given {type(tolerance).__name__}, expected a number.")
    if not 0 < tolerance < np.inf:
        raise ValueError(f"tolerance: given {tolerance}, expected a finite number above 0.")
    if contraction is not None and not isinstance(contraction, ProvenContraction):
        raise TypeError(
            f"contraction: given {type(contraction).__name__}, expected a ps.diagnostics.ProvenContraction or None."
        )
    signature = resolve(f, as_arrays("init", init), as_arrays("xs", xs), length, scan_form=False)
    for leaf in signature.layout.leaves:
        if not leaf.continuous:
            raise TypeError(
                f"init: given a leaf {leaf.path} of dtype {leaf.dtype}, expected floating leaves alone: nothing says "
                "that a discrete one forgets. Use ps.scan."
            )
    T = signature.length
    if contraction is None:
        try:
            proven = prove_contraction(signature)
        except UnboundedError as why:
            raise ValueError(
                f"f: given a step of which no contraction could be proven: {why}. Expected one that contracts for "
                "every state, or contraction= with what you have proven yourself; ps.scan takes all steps."
            ) from None
        contraction = min(proven, key=lambda each: each.steps(tolerance))
    # The first step brings the guess among the images of steps, between any two of which the constant holds.
    steps = min(contraction.steps(tolerance) + 1, T)
    carry = _run(signature, steps, reverse)
    return FinalCarry(carry, 0.0 if steps == T else contraction.after(steps - 1), steps, contraction)


def _run(signature: Signature, steps: int, reverse: bool) -> Tree:
    """The carry after the last steps, or after all where an input before them is not finite."""
    T = signature.length
    first, last = (slice(steps, T), slice(0, steps)) if reverse else (slice(0, T - steps), slice(T - steps, T))

    def advance(carry: Tree, x: Tree) -> tuple[Tree, None]:
        return signature.step(carry, x)[0], None

    def run(rows: Tree, count: int) -> Tree:
        return jax.lax.scan(advance, signature.init, rows, count, reverse=reverse)[0]

    end = jax.tree.map(lambda leaf: leaf[last], signature.xs)
    numbers = [leaf[first] for leaf in jax.tree.leaves(signature.xs) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    if steps == T or not numbers:
        return run(end, steps)
    finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in numbers]))
    return jax.lax.cond(finite, lambda: run(end, steps), lambda: run(signature.xs, T))
