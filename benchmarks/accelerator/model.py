"""Seconds on an accelerator by a model: kernels that start one after the other, reads of the host, and work."""

from collections.abc import Mapping
from types import MappingProxyType

from .counts import Counts

CONSTANTS: Mapping[str, float] = MappingProxyType(
    {"launch": 2.5e-6, "read": 1e-5, "bandwidth": 3.35e12, "operations": 6.7e13}
)
"""Seconds of a launch inside a loop; seconds until the host has read a flag and goes on; bytes and operations in a
second. None is measured: the first two are assumed, the others are those of an H100's data sheet, in float32."""


def forecast(counts: Counts, constants: Mapping[str, float] = CONSTANTS) -> float:
    """Seconds of a program.

    Launches and reads wait for one another. The work of a kernel hides behind the next launch, so the longer of the two
    counts; what a kernel waits for inside, such as a short loop that cannot fill the device, is not in the model.

    Args:
        counts: of the program.
        constants: of the device.
    """
    waiting = counts.launches * constants["launch"] + counts.reads * constants["read"]
    working = counts.bytes / constants["bandwidth"] + counts.operations / constants["operations"]
    return max(waiting, working)
