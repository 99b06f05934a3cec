"""What an unsuccessful rollout says about itself: why it stopped, where and when it went wrong, what to try."""

import jax.numpy as jnp

from ..solution import Result, Solution

NEARLY = 1e3
"""An error that no longer falls is put down to rounding where the tolerance is at most so many units of rounding."""


def explain_failure(solution: Solution) -> str:
    """Cause and cure of an unsuccessful solution, in a few sentences; its values must be known, not traced.

    Args:
        solution: one solution, not a batch.
    """
    stats = solution.stats
    where = (
        f"iterations {int(stats.iterations)}, last improvement at iteration {int(stats.improved_at)}, residual "
        f"{float(stats.residual_norm):.3g}, exact steps {int(stats.exact_prefix)}, settled steps "
        f"{int(stats.settled_prefix)}, finite steps {int(stats.finite_prefix)}, repairs {int(stats.repairs)}"
    )
    return f"{Result[solution.result]} ({where}) {_advice(solution)}"


def _advice(solution: Solution) -> str:
    """Advice that follows from the statistics, beyond the text of the result code."""
    stats, result = solution.stats, solution.result
    iterations, settled = int(stats.iterations), int(stats.settled_prefix)
    if bool(result == Result.nonfinite):
        finite = int(stats.finite_prefix)
        return f"The first step that is not finite is step {finite + 1} (row {finite})."
    first = f"The first step that does not obey the recurrence yet is step {settled + 1} (row {settled})."
    if bool(result == Result.diverged):
        return f"{first} The returned iterate is the best one. Try GradientDescent() without an optimizer, or elk()."
    if bool(result == Result.stalled):
        eps = float(jnp.finfo(stats.merit.dtype).eps)
        if float(stats.residual_norm) <= NEARLY * eps * (1 + float(stats.residual_norm)):
            return f"{first} Its residual is near rounding already: the tolerance asks for more digits than there are."
        return (
            f"{first} The method itself goes no further: try deer(), elk() or Hybrid(..., deer()) from this solution."
        )
    if iterations and settled <= 2 * iterations:
        return f"{first} About one step was settled in an iteration, as on an unpredictable system: try Sequential()."
    if int(stats.repairs):
        return f"{first} States overflowed on the way: try elk(), LineSearch(...) or a guess nearer to the solution."
    return f"{first} Give it more iterations, starting with guess=error.solution."
