"""The machine records that come with the library, and the record of this machine without any measurement."""

import dataclasses
import functools
import json
from collections.abc import Mapping
from types import MappingProxyType

import jax
from jax.sharding import AbstractMesh, Mesh

from .hardware import detected
from .machine import Link, Links, Machine
from .platform import platform_of
from .processes import processes_of, text_of_first


def _on_a_processor(entry: float, tree: float) -> Links:
    """Costs of linear recurrences on a CPU, where trees cost the steps of loops and the products besides."""
    loops, trees = Link(4.9e-9, entry), Link(4.9e-9, entry, tree)
    return Links(loops, trees, trees)


# On one core of an AMD EPYC with AVX2: small steps from those of 1 to 8 entries over 2 10^4 to 10^6 steps; large ones
# from networks of 4 to 128 units, within a factor of two; near ones from those of 36 to 96 units.
_CPU_SINGLE = Machine(
    near_bytes=2**15,
    far_bytes=2**25,
    vector_bytes=32,
    call=5e-6,
    turn=3e-9,
    wait=2.5e-10,
    wait_costly=1e-8,
    entry=4e-11,
    entry_beside=3e-11,
    vectorized=4e-10,
    called=2e-8,
    term=3e-9,
    join=1e-9,
    move=7e-11,
    move_far=7e-11,
    copy=1.1e-10,
    copy_far=5e-10,
    turn_large=8e-9,
    loop=1.5e-8,
    stall=3e-8,
    operation=9e-11,
    operation_large=2e-11,
    turn_near=5e-8,
    operation_near=1e-11,
    few=1000,
    row=1.7e-7,
    gain=2.5,
    gain_near=1.3,
    heavy=300,
    pushforward=0.65,
    portion=64,
    stored=8,
    apart=8,
    known_bytes=2**14,
    products=512,
    links=_on_a_processor(entry=2e-10, tree=2.6e-9),
)

SLOWER_IN_DOUBLE = 1.3
"""Time of a large step in double precision, in units of single precision: 1.3 to 2.1 for networks of 5 to 32 units."""

_CPU_DOUBLE = dataclasses.replace(
    _CPU_SINGLE,
    vectorized=1.3e-9,
    called=3e-8,
    move=4.75e-11,
    move_far=6.25e-11,
    **{
        name: SLOWER_IN_DOUBLE * getattr(_CPU_SINGLE, name)
        for name in ("turn_large", "loop", "stall", "operation", "operation_large", "turn_near", "operation_near")
    },
    pushforward=0.45,
    known_bytes=2**15,
    links=_on_a_processor(entry=5e-10, tree=4e-9),
)

# From published figures: a loop turn of small kernels takes some ten microseconds there, whatever it computes. So
# linear recurrences have many chunks: 16 rows of 4096 launch a sixth of what 128 rows of 512 do, counted for an H100.
_ACCELERATOR = Machine(
    near_bytes=2**22,
    far_bytes=2**25,
    vector_bytes=128,
    call=5e-5,
    turn=1e-5,
    wait=0.0,
    wait_costly=0.0,
    entry=1e-11,
    entry_beside=1e-13,
    vectorized=1e-12,
    called=1e-12,
    term=1e-11,
    join=1e-12,
    move=1e-13,
    move_far=1e-12,
    copy=1e-12,
    copy_far=1e-12,
    turn_large=1e-5,
    loop=0.0,
    stall=0.0,
    operation=1e-11,
    operation_large=1e-11,
    turn_near=1e-5,
    operation_near=1e-11,
    few=1000,
    row=1e-5,
    gain=100.0,
    gain_near=100.0,
    heavy=300,
    pushforward=1.5,
    portion=2**30,
    stored=2**30,
    apart=8,
    known_bytes=2**14,
    products=4096,
    links=Links(Link(1e-5, 1e-10), Link(1e-11, 1e-12, 1e-13, 2e-5), Link(1e-11, 1e-12, 1e-13, 2e-5)),
).known(
    # The first three are assumed; the others are those of an H100's data sheet, in float32.
    "not measured",
    {"launch": 2.5e-6, "read": 1e-5, "row_in_kernel": 1e-6} | {"bandwidth": 3.35e12, "rate": 6.7e13, "processors": 132},
)

BUILT_IN: Mapping[tuple[str, bool], Machine] = MappingProxyType(
    {("cpu", False): _CPU_SINGLE, ("cpu", True): _CPU_DOUBLE}
)
"""Records by platform and whether they are of double precision."""


def built_in(platform: str, *, double: bool = False) -> Machine:
    """The record that comes with the library; of any platform but a CPU, that of an accelerator.

    Args:
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``.
        double: whether it is of double precision; single stands for all that is narrower.
    """
    return BUILT_IN.get((platform, double), _ACCELERATOR)


_agreed: dict[str, int] = {}
"""What the first of several processes knows of its processor; empty before they have agreed on it."""


def agree(mesh: Mesh | AbstractMesh | None) -> None:
    """Let several processes take the same record, that of the first, so that all of them make the same choices.

    It is asked for once, by the first call whose mesh has devices of all processes. Before that, and where a mesh is
    of some of them, their records are the built-in ones.

    Args:
        mesh: of a call that all its processes make.
    """
    if _agreed or not _several() or len(processes_of(mesh)) < jax.process_count() or not isinstance(mesh, Mesh):
        return
    _agreed.update(json.loads(text_of_first(lambda: json.dumps(dict(detected())), mesh)))


def _several() -> bool:
    """Whether this is one of several processes."""
    return jax.distributed.is_initialized() and jax.process_count() > 1


def here(platform: str | None = None, *, double: bool = False) -> Machine:
    """The record of this machine without any measurement: built-in numbers, and what the system says of its processor.

    It depends on the operating system alone, so that the same call runs the same way. Of several processes it is that
    on which they have agreed (``agree``).

    Args:
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``; that of ``platform_of()`` when None.
        double: whether it is of double precision; single stands for all that is narrower.
    """
    known = _agreed if _several() else detected()
    return of_platform(platform or platform_of(), double, tuple(sorted(known.items())))


@functools.cache
def of_platform(platform: str, double: bool, known: tuple[tuple[str, int], ...]) -> Machine:
    """The record that ``here`` gives, made once for what is known.

    Args:
        platform: ``"cpu"``, ``"gpu"`` or ``"tpu"``.
        double: whether it is of double precision; single stands for all that is narrower.
        known: names of numbers with those that the system says of its processor.
    """
    found = built_in(platform, double=double)
    return found.known("detected", dict(known)) if platform == "cpu" and known else found
