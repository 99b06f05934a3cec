"""Blocks of a sequence run side by side, one lane each; knows nothing of carries, solvers or derivatives."""

from .batch import batch_size, merged
from .choice import SHORTEST_BLOCK, TRIAL_SHARE, Patience, adjoint_pays, choose_lanes, lanes_at_once
from .engine import AbstractTally
from .evaluate import Layout, scan_blocks, tally_blocks
from .grid import Grid
from .kind import kind_of
from .probe import coupling_rows, fill_rows
from .small_steps import largest_batch
from .suitability import copy_share, unrewarding, unsuited
from .work import costly, operations

__all__ = [
    "SHORTEST_BLOCK",
    "TRIAL_SHARE",
    "AbstractTally",
    "Grid",
    "Layout",
    "Patience",
    "adjoint_pays",
    "batch_size",
    "choose_lanes",
    "copy_share",
    "costly",
    "coupling_rows",
    "fill_rows",
    "kind_of",
    "lanes_at_once",
    "largest_batch",
    "merged",
    "operations",
    "scan_blocks",
    "tally_blocks",
    "unrewarding",
    "unsuited",
]
