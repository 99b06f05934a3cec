"""Blocks of a sequence run side by side, one lane each; knows nothing of carries, solvers or derivatives."""

from .batch import batch_size, merged
from .chunk_count import SHORTEST_BLOCK, TRIAL_SHARE, Patience, adjoint_pays, choose_lanes, lanes_at_once
from .coupled_copies import TWINS
from .dispatch import Layout, patience_of, scan_blocks, tally_blocks
from .engine import AbstractTally, Way, no_blocks
from .grid import Grid
from .probe import coupling_rows, fill_rows

__all__ = [
    "SHORTEST_BLOCK",
    "TRIAL_SHARE",
    "TWINS",
    "AbstractTally",
    "Grid",
    "Layout",
    "Patience",
    "Way",
    "adjoint_pays",
    "batch_size",
    "choose_lanes",
    "coupling_rows",
    "fill_rows",
    "lanes_at_once",
    "merged",
    "no_blocks",
    "patience_of",
    "scan_blocks",
    "tally_blocks",
]
