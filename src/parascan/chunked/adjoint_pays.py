"""Whether a derivative is worth a recurrence of its own, decided as the number of chunks is."""

from ..programs.built_in import here
from ..programs.cost import is_heavy
from ..programs.machine import Machine
from ..programs.platform import platform_of
from ..programs.work import Work, as_work

SMALL_BATCH = 4
"""Most sequences of a batch that goes back in chunks where weights have no derivative."""


def adjoint_pays(
    size: int, work: float | Work, batch: int, machine: Machine | None = None, *, weights: bool = True
) -> bool:
    """Whether a derivative is worth a recurrence of its own, rather than JAX's way through the plain loop.

    That recurrence runs in chunks, and its products are over many steps, where the plain loop back adds up a small one
    at every step. It is worth it for steps with products and costly functions, as those of networks, and for those that
    take far longer than moving their state. In a batch whose products fill a vector register, the plain loop is far
    faster where the system does not forget, and little slower where it does. Without products for weights, a step of
    one function (``tanh(A s + x)``) goes back by its stored slope and one product, where a chunk computes it again:
    measured 0.5 to 0.9 times as fast for 16 to 100 units, and 1.0 to 1.4 for gated cells. In a batch the plain loop
    calls a library for that product at every step: batches of 2 and 4 went back 0.9 to 7 times as fast in chunks, of 6
    half as fast for 64 units.

    Args:
        size: D, entries of a state.
        work: what a step computes, or its operations alone.
        batch: N, sequences that run at once as far as known.
        machine: that it runs on; this one, by what is known without measuring, when None.
        weights: whether an array that the step closes over has a derivative.
    """
    if platform_of() != "cpu":
        # The plain loop there launches several kernels for each step, and more on its way back.
        return True
    machine, work = machine or here(), as_work(work)
    if not weights and not 1 < batch <= SMALL_BATCH and work.products > 0 and work.functions <= 1:
        return False
    network = work.functions > 0 and not work.small
    return (is_heavy(work, size, machine) or network) and 4 * batch < machine.vector_bytes
