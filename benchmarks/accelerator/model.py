"""Seconds on an accelerator by a model: kernels that start one after the other, reads of the host, and work."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from parascan.programs.built_in import built_in

from .counts import Counts

_GPU = built_in("gpu")

CONSTANTS: Mapping[str, float] = MappingProxyType(
    {"launch": _GPU.launch, "read": _GPU.read, "row": _GPU.row_in_kernel, "bandwidth": _GPU.bandwidth}
    | {"operations": _GPU.rate, "processors": _GPU.processors}
)
"""Those of the library's record of an accelerator: seconds of a launch inside a loop; seconds until the host has read a
flag and goes on; seconds of a row inside of a kernel besides its products; bytes and operations in a second, and
processors that divide the operations. None is measured: the first three are assumed, the others are those of an H100's
data sheet, in float32."""


class Rows(NamedTuple):
    """Rows that run one after the other inside of kernels.

    Attributes:
        count: how many.
        operations: of the products of a row of one tile, which one processor runs.
    """

    count: float = 0
    operations: float = 0


def forecast(counts: Counts, constants: Mapping[str, float] = CONSTANTS, rows: Rows | None = None) -> float:
    """Seconds of a program.

    Launches and reads wait for one another. The work of a kernel hides behind the next launch, so the longer of the two
    counts; the rows of a kernel of many rows come on top, one after the other.

    Args:
        counts: of the program.
        constants: of the device.
        rows: that run inside of kernels.
    """
    rows = rows or Rows()
    waiting = counts.launches * constants["launch"] + counts.reads * constants["read"]
    working = counts.bytes / constants["bandwidth"] + counts.operations / constants["operations"]
    alone = constants["operations"] / constants["processors"]
    return max(waiting, working) + rows.count * (constants["row"] + rows.operations / alone)
