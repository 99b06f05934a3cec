"""Why a rollout stopped, and what to do when that is not success."""

import equinox as eqx


class Result(eqx.Enumeration):
    """Outcome of a rollout, usable under jit and vmap; each failure's text names its cause and its cure."""

    successful = ""
    max_iterations_reached = (
        "The rollout used up its iterations before it met its tolerance. Raise max_iterations, start from a better "
        "guess, or use solver=Sequential(): with a positive Lyapunov exponent about one iteration a step is needed."
    )
    stalled = (
        "The iterations stopped improving before the tolerance was met: the working precision or the method allows no "
        "more. Loosen the tolerance, use float64, or use solver=Sequential()."
    )
    diverged = (
        "The iterates ran away from the solution. Use a smaller learning rate, a causal method such as deer(), "
        "or solver=Sequential()."
    )
    nonfinite = (
        "The system itself leaves the finite numbers: its exact trajectory, or one of its inputs, is infinite or NaN. "
        "Check xs and the step function at the step that stats.finite_prefix gives."
    )
    uncertified = (
        "The rollout met its own tolerance, but its states could not be certified to the tolerance asked for: the "
        "bound on their error passes it at the step after certificate.horizon. Raise the tolerance, use float64, "
        "or shorten the rollout: with a positive Lyapunov exponent no trajectory can be known for long."
    )
