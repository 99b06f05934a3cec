"""The families of every kind; the last one of each kind is kept for judging as a whole."""

from . import (
    biology,
    driven,
    filters,
    flows,
    hamiltonian,
    jumps,
    maps,
    multistable,
    networks,
    neutral,
    noisy,
    nonnormal,
)

FAMILIES = tuple(
    family
    for module in (
        maps, flows, driven, noisy, networks, filters, biology, nonnormal, hamiltonian, multistable, jumps, neutral,
    )
    for family in module.FAMILIES
)  # fmt: skip
