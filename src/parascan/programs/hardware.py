"""What the operating system says of the processor: cache sizes, vector width, cores; from its files and calls alone.

Numbers that it does not know are left out; built-in ones stand for them.
"""

import functools
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
"""Where Linux describes the caches of a processor."""

PROCESSOR = Path("/proc/cpuinfo")
"""Where Linux describes the processor."""

CALLS = {
    "near_bytes": "SC_LEVEL1_DCACHE_SIZE",
    "near_ways": "SC_LEVEL1_DCACHE_ASSOC",
    "far_bytes": "SC_LEVEL3_CACHE_SIZE",
}
"""Numbers that the C library knows, by the name under which ``os.sysconf`` gives them."""

PLAUSIBLE = {"near_bytes": (2**12, 2**20), "near_ways": (2, 64), "far_bytes": (2**18, 2**31)}
"""Least and greatest values that are believed, since virtual machines may report zero or made-up numbers."""

UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}
"""Units of the sizes in the files."""

PREFERRED_VECTOR = 32
"""Bytes of the vectors that XLA prefers on x86, also where the processor has wider ones."""

LEAST_VECTOR = 16
"""Bytes of a vector on every 64-bit processor of the kinds that JAX runs on."""


@functools.cache
def detected() -> Mapping[str, int]:
    """Sizes of this processor by name, as far as they are known; found once in a process."""
    found = _from_library() | _from_files()
    believed = {name: value for name, value in found.items() if PLAUSIBLE[name][0] <= value <= PLAUSIBLE[name][1]}
    width = _vector_bytes()
    return MappingProxyType(believed | ({"vector_bytes": width} if width else {}) | {"cores": _cores()})


def processor() -> str:
    """Name of the processor as far as the system tells."""
    named = next((line for line in _lines(PROCESSOR) if line.startswith("model name")), "")
    return named.partition(":")[2].strip() or platform.processor() or platform.machine()


def _from_library() -> dict[str, int]:
    """What the C library says."""
    known = getattr(os, "sysconf_names", {})
    return {name: value for name, call in CALLS.items() if call in known and (value := _asked(call)) > 0}


def _asked(call: str) -> int:
    """One number of the C library, zero where it has none."""
    try:
        return os.sysconf(call)
    except (OSError, ValueError):
        return 0


def _from_files() -> dict[str, int]:
    """What Linux says: the first level's cache of data, and the cache of the last level."""
    found: dict[str, int] = {}
    last = 0
    for folder in sorted(CACHES.glob("index*")):
        level, kind, size, ways = (
            "".join(_lines(folder / name)) for name in ("level", "type", "size", "ways_of_associativity")
        )
        if kind == "Instruction" or not level.isdigit() or not size[:-1].isdigit() or size[-1] not in UNITS:
            continue
        held = int(size[:-1]) * UNITS[size[-1]]
        if level == "1":
            found |= {"near_bytes": held} | ({"near_ways": int(ways)} if ways.isdigit() else {})
        elif int(level) > last:
            last, found["far_bytes"] = int(level), held
    return found


def _vector_bytes() -> int | None:
    """Bytes of the vectors that compiled programs use."""
    flags = next((line for line in _lines(PROCESSOR) if line.startswith("flags")), "").split()
    if "avx" in flags:
        return PREFERRED_VECTOR
    return LEAST_VECTOR if flags or platform.machine() in ("arm64", "aarch64") else None


def _cores() -> int:
    """Processors that this process may use."""
    may_use = getattr(os, "sched_getaffinity", None)
    return len(may_use(0)) if may_use else os.cpu_count() or 1


def _lines(path: Path) -> list[str]:
    """Lines of a file of the system, none where there is no such file or it is not to be read."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
