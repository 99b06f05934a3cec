"""One file a row of the table of targets; each yields its cases one by one."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from ..case import Case, Size
from . import compiling, devices, exponents, gru, langevin, linear, lorenz, memory, networks, observers, planned, small

ROWS: Mapping[int, Callable[[Size], Iterator[Case]]] = MappingProxyType(
    {
        1: networks.run,
        2: observers.run,
        3: planned.weakly_contracting,
        4: gru.run,
        5: langevin.run,
        6: lorenz.run,
        7: memory.run,
        8: linear.run,
        9: exponents.run,
        10: devices.run,
        11: compiling.run,
        12: planned.whole_zoo,
        13: small.run,
    }
)
