"""Every table and figure by name, in the order of the paper, then what goes beyond it."""

import importlib
from types import MappingProxyType

from ..harness.experiment import Arithmetic, Experiment

MODULES = (
    *("fig1", "fig2", "fig3", "fig4", "fig5", "fig6", "fig7", "table1", "fig8"),
    *("methods", "flows", "optimizers", "mala", "forecasts"),
)
"""Files of this folder that end with an ``EXPERIMENT``."""

EXPERIMENTS = MappingProxyType(
    {name: importlib.import_module(f"{__package__}.{name}").EXPERIMENT for name in MODULES},
)
"""Experiments by the names under which the command line has them."""

PUBLISHED = MappingProxyType(
    {
        name: importlib.import_module(f"{__package__}.{name}_published").EXPERIMENT
        for name in ("fig2", "fig6", "table1", "fig8")
    },
)
"""Those that are also there in the arithmetic of the paper's published code, by the same names."""


def get(name: str, arithmetic: Arithmetic = "library") -> Experiment:
    """An experiment.

    Args:
        name: as the command line has it.
        arithmetic: this library's, or that of the paper's published code.

    Raises:
        ValueError: there is none of that name, or not in that arithmetic.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"name: given {name!r}, expected all or some of {', '.join(EXPERIMENTS)}.")
    if arithmetic == "library":
        return EXPERIMENTS[name]
    if name not in PUBLISHED:
        raise ValueError(
            f"arithmetic: given {arithmetic} for {name}, expected library: the paper prints no count of it that the "
            f"arithmetic decides. {', '.join(PUBLISHED)} have both."
        )
    return PUBLISHED[name]


def ordered() -> list[Experiment]:
    """All experiments, each in its arithmetics."""
    return [each for name in EXPERIMENTS for each in (EXPERIMENTS[name], PUBLISHED.get(name)) if each is not None]
