"""``final_carry``: the end of a long sequence from its last steps alone, where the system provably forgets the rest."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..diagnostics import ProvenContraction
from ..problem.arguments import as_arrays
from ..problem.signature import Signature, resolve
from ..solution import StepFunction, Tree


class FinalCarry(eqx.Module):
    """The carry after all steps, from the last of them.

    Attributes:
        carry: as ``jax.lax.scan`` would return it first.
        bound: most by which an entry of the carry may differ from the one after all steps, where both are computed
            without rounding.
        rounding: what rounding may add to the difference, roughly.
        steps: how many of the last steps decide; where an input before them is not finite, all steps were taken.
    """

    carry: Tree
    bound: float = eqx.field(static=True)
    rounding: float = eqx.field(static=True)
    steps: int = eqx.field(static=True)


def final_carry(
    f: StepFunction,
    init: Tree,
    xs: Tree = None,
    length: int | None = None,
    reverse: bool = False,
    *,
    tolerance: float,
    contraction: ProvenContraction,
) -> FinalCarry:
    """The carry after all steps of a recurrence, to a tolerance, by its last steps alone.

    In a system that contracts for every state the last steps decide: what was before them can move the end by a known
    amount at most. How many are needed depends on the rate and the tolerance, not on the length of the sequence. That
    a system contracts has to be *proven*, for all states and all inputs that it may get: by how a
    ``ps.nn.ContractiveCell`` is made, or by you. An exponent that was measured proves nothing, since no measurement
    visits every state; it is not taken here.

    The inputs before the last steps are read once, to see that they are finite: a proof speaks of numbers. Where one
    is not, all steps are taken. Derivatives are those of the last steps and miss what earlier ones add; the bound is
    on values.

    Args:
        f: the step, as ``scan`` or ``rollout`` takes it; its outputs are dropped.
        init: initial carry, of floating leaves.
        xs: inputs, each leaf with leading axis T, or None.
        length: T; needed when ``xs`` is None.
        reverse: whether to run from the last input to the first.
        tolerance: most by which an entry of the carry may differ, above what rounding may add.
        contraction: what has been proven: ``cell.contraction()`` of a contractive cell, or
            ``ps.diagnostics.ProvenContraction(rate, constant)``. It is not checked.

    Returns:
        A ``FinalCarry``: ``carry``, ``bound``, ``rounding``, ``steps``.

    Raises:
        TypeError: an argument of the wrong kind, or a carry with a leaf that is not floating.
        ValueError: a tolerance that is not above zero, or not above what rounding may add.

    Source: contraction, Lohmiller and Slotine 1998; appendix C of the paper.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> cell = ps.nn.ContractiveCell(1, 16, rate=0.9, key=jax.random.key(0))
        >>> step, start = lambda s, x: cell(x, s), cell.initial_state()
        >>> signal = jnp.sin(jnp.arange(1_000_000) / 50)[:, None]
        >>> found = ps.final_carry(step, start, signal, tolerance=1e-4, contraction=cell.contraction())
        >>> found.steps, found.bound <= 1e-4
        (109, True)
    """
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float | np.number):
        raise TypeError(f"tolerance: given {type(tolerance).__name__}, expected a number.")
    if not 0 < tolerance < np.inf:
        raise ValueError(f"tolerance: given {tolerance}, expected a finite number above 0.")
    if not isinstance(contraction, ProvenContraction):
        expected = "expected a ps.diagnostics.ProvenContraction, such as cell.contraction() of a ps.nn.ContractiveCell"
        raise TypeError(f"contraction: given {type(contraction).__name__}, {expected}. Without a proof, use ps.scan.")
    signature = resolve(f, as_arrays("init", init), as_arrays("xs", xs), length, scan_form=False)
    for leaf in signature.layout.leaves:
        if not leaf.continuous:
            raise TypeError(
                f"init: given a leaf {leaf.path} of dtype {leaf.dtype}, expected floating leaves alone: nothing says "
                "that a discrete one forgets. Use ps.scan."
            )
    rounding = max((contraction.rounding(leaf.dtype) for leaf in signature.layout.leaves), default=0.0)
    if tolerance <= rounding:
        raise ValueError(
            f"tolerance: given {tolerance:g}, expected more than the {rounding:.2g} that rounding may add here."
        )
    # The first step brings the guess among the images of steps, between any two of which the constant holds.
    steps = min(contraction.steps(tolerance) + 1, signature.length)
    bound = 0.0 if steps == signature.length else contraction.after(steps - 1)
    return FinalCarry(_run(signature, steps, reverse), bound, rounding, steps)


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
