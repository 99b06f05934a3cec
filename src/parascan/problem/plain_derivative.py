"""Which steps need the derivative that JAX takes through the plain loop."""

from ..programs.closure import Closed
from ..programs.own_pullbacks import has_own_pullback
from .carry import CarryLayout


def only_step_by_step(step: Closed, layout: CarryLayout, *, kept: bool) -> bool:
    """Whether a step's derivative has to be JAX's own, through the plain loop.

    That is so for a pullback of the user's own, and where a floating carry leaf reaches no output and no other leaf.
    JAX leaves such a leaf out of the derivative, with any NaN in it; in one linear system with all other leaves it
    would make them NaN. A leaf that is the only floating one is what is asked for, so it does not count.

    Args:
        step: the step, ``(carry, x) -> (carry, y)``.
        layout: of its carry.
        kept: whether the last of its outputs are the new carry once more.
    """
    if has_own_pullback(step.closed):
        return True
    count = len(layout.leaves)
    if sum(leaf.continuous for leaf in layout.leaves) < 2:
        return False
    try:
        unread = step.unread(count, ignored=count if kept else 0)
    except Exception:
        # What the analysis does not understand is read.
        return False
    return any(layout.leaves[index].continuous for index in unread)
