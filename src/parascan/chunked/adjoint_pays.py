"""Whether a derivative is worth a recurrence of its own, decided as the number of chunks is."""

from ..programs.built_in import here
from ..programs.machine import Machine
from ..programs.platform import platform_of
from ..programs.work import Work, as_work

LIGHT = 2
"""Operations of a step, in units of the record's ``few``, up to which the plain loop back takes longer to set out its
products than to compute them: 1.5 to 5 times as long as a recurrence of its own for tanh networks of 8 and 16 units,
and 0.8 to 1.8 times where the system does not forget; with 32 units 1.0 to 2.8 and 0.9."""


def adjoint_pays(size: int, work: float | Work, batch: int, machine: Machine | None = None) -> bool:
    """Whether a derivative is worth a recurrence of its own, rather than JAX's way through the plain loop.

    It is worth it where a step takes far longer than moving its state, which that recurrence does once more, and where
    its products are so small that the plain loop back spends its time between them. In a batch whose products fill a
    vector register, the plain loop is the faster way.

    Args:
        size: D, entries of a state.
        work: what a step computes, or its operations alone.
        batch: N, sequences that run at once as far as known.
        machine: that it runs on; this one, by what is known without measuring, when None.
    """
    if platform_of() != "cpu":
        # The plain loop there launches several kernels for each step, and more on its way back.
        return True
    machine, work = machine or here(), as_work(work)
    heavy = work.operations >= machine.heavy * size
    light = work.functions > 0 and not work.small and work.operations <= LIGHT * machine.few
    return (heavy or light) and 4 * batch < machine.vector_bytes
