"""Systems to run, each with its equations, its source and what is known about it; nothing is built on import."""

from . import nine_flows as table1
from ._base import Fact, Facts, System
from ._registry import Entry, entry, get, names
from .chaotic_flows import flow, flow_names
from .diffrax_steps import from_diffrax
from .langevin import two_well_langevin
from .maps import henon, logistic
from .observers import observer, published_observer
from .rnn import tanh_rnn

__all__ = [
    "Entry",
    "Fact",
    "Facts",
    "System",
    "entry",
    "flow",
    "flow_names",
    "from_diffrax",
    "get",
    "henon",
    "logistic",
    "names",
    "observer",
    "published_observer",
    "table1",
    "tanh_rnn",
    "two_well_langevin",
]
