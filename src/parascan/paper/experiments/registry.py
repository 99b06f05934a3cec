"""Every table and figure by name, in the order of the paper, then what goes beyond it."""

import importlib
from types import MappingProxyType

from ..harness.experiment import Experiment

MODULES = (
    *("fig1", "fig2", "fig3", "fig4", "fig5", "fig6", "fig7", "table1", "fig8"),
    *("methods", "flows", "optimizers", "mala", "forecasts"),
)
"""Files of this folder that end with an ``EXPERIMENT``."""

EXPERIMENTS = MappingProxyType(
    {name: importlib.import_module(f"{__package__}.{name}").EXPERIMENT for name in MODULES},
)
"""Experiments by the names under which the command line has them."""


def get(name: str) -> Experiment:
    """An experiment.

    Args:
        name: as the command line has it.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in EXPERIMENTS:
        raise ValueError(f"name: given {name!r}, expected all or some of {', '.join(EXPERIMENTS)}.")
    return EXPERIMENTS[name]
