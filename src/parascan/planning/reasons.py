"""Why a method was chosen, in sentences that can be understood without the other candidates."""

import math

from ..solvers import Chunked, WithFallback
from .candidate import Candidate, digits
from .measure import Memory
from .propose import Setting

FUSED_STEP = 3e-6
"""Seconds of a step of a fused sequential kernel for a standard cell on a GPU, by the figures of its authors."""


def reasons_for(choice: Candidate, setting: Setting, memory: Memory | None) -> tuple[str, ...]:
    """Sentences on a choice.

    Args:
        choice: the chosen method.
        setting: the call.
        memory: how soon the system forgets its start, if measured.
    """
    return _by_choice(choice, setting, memory) + _on_accelerator(setting)


def _on_accelerator(setting: Setting) -> tuple[str, ...]:
    """What is to be known of the accelerator that a call is for; nothing of a CPU."""
    work, machine = setting.workload, setting.machine
    if work.platform == "cpu" or machine.launch == 0:
        return ()
    found = []
    if machine.full(work.batch, work.work.operations):
        found.append(
            f"{work.batch} sequences fill the device: a step of all of them takes longer to compute than to launch, so "
            "that chunks have no room to gain"
        )
    if work.platform == "gpu":
        found.append(
            "for GRU and LSTM cells the rival there is a fused sequential kernel (cuDNN, FlashRNN), by its authors' "
            f"figures some 3 microseconds a step: {digits(FUSED_STEP * work.length * 1e3)} ms for {work.length} steps"
        )
    numbers = [name for name in ("launch", "bandwidth", "rate") if machine.source(name) == "not measured"]
    if numbers:
        found.append(f"of the device's record, {', '.join(numbers)} are not measured")
    return tuple(found)


def _by_choice(choice: Candidate, setting: Setting, memory: Memory | None) -> tuple[str, ...]:
    """Why this method."""
    if isinstance(choice.solver, Chunked):
        return _chunked(choice, setting, memory)
    if isinstance(choice.solver, WithFallback) and choice.updates is not None:
        return (
            f"Newton-like methods are forecast to need {float(choice.updates.value):.0f} updates "
            f"({choice.updates.method}); {_exponent(setting)}",
            f"should they need more than {choice.solver.budget}, it goes on one step after the other",
        )
    return _sequential(choice, setting, memory)


def _chunked(choice: Candidate, setting: Setting, memory: Memory | None) -> tuple[str, ...]:
    """Why chunks were chosen."""
    length = setting.workload.length
    if memory is not None:
        forgets = f"copies of it that start apart agree to rounding after {memory.steps} of {length} steps"
    else:
        forgets = "its exponent says so, and the call finds out for itself"
    return (
        f"the system forgets where it started: {forgets}; {_exponent(setting)}",
        f"so {choice.name} give the same states, and they fill the machine's vector units better than one step at a "
        "time",
    )


def _sequential(choice: Candidate, setting: Setting, memory: Memory | None) -> tuple[str, ...]:
    """Why one step after the other was chosen."""
    diagnosis, length = setting.diagnosis, setting.workload.length
    found = []
    if diagnosis.verdict == "unpredictable":
        horizon, newton = float(diagnosis.prediction_horizon.value), diagnosis.iterations["newton"]
        found.append(
            f"the system is unpredictable: {_exponent(setting)}, so that rounding errors are as large as the states "
            f"after {horizon:.0f} steps; Newton is forecast to need {float(newton.value):.0f} updates "
            f"[{float(newton.low):.0f}, {float(newton.high):.0f}] for {length} steps"
        )
    else:
        found.append(f"no other way is expected to be faster; the system is {diagnosis.verdict}, {_exponent(setting)}")
        if memory is not None and not memory.forgets:
            found.append(
                f"within {memory.steps} of {length} steps not every entry of copies that start apart has come as close "
                "as rounding, which chunks need"
            )
        elif memory is not None:
            found.append(
                f"it forgets its start within {memory.steps} of {length} steps, but chunks side by side gain too "
                "little here"
            )
    if choice.device != setting.workload.platform:
        found.append(
            f"on the host's processor a step takes less time than the {setting.workload.platform} takes to begin one: "
            'run it under jax.default_device(jax.devices("cpu")[0])'
        )
    return tuple(found)


def _exponent(setting: Setting) -> str:
    """The exponent with its interval."""
    exponent = setting.diagnosis.exponent
    value, low, high = (float(each) for each in (exponent.value, exponent.low, exponent.high))
    if math.isnan(value):
        return "its largest Lyapunov exponent is unknown"
    return f"largest Lyapunov exponent {value:.3g} per step [{low:.3g}, {high:.3g}]"
