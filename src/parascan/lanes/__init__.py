"""Blocks of a sequence run side by side, one lane each; knows nothing of carries, solvers or derivatives."""

from .batch import batch_size, merged
from .choice import SHORTEST_BLOCK, TRIAL_SHARE, Patience, adjoint_pays, choose_lanes, lanes_at_once
from .engine import AbstractTally, Way, no_blocks
from .evaluate import Layout, patience_of, scan_blocks, tally_blocks
from .grid import Grid
from .kind import kind_of
from .probe import coupling_rows, fill_rows
from .small_steps import largest_batch
from .suitability import copy_share, unrewarding, unsuited, varies_over_mesh
from .totality import partial_reason
from .trial import runs_over_lanes
from .work import costly, operations

__all__ = [
    "SHORTEST_BLOCK",
    "TRIAL_SHARE",
    "AbstractTally",
    "Grid",
    "Layout",
    "Patience",
    "Way",
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
    "no_blocks",
    "operations",
    "partial_reason",
    "patience_of",
    "runs_over_lanes",
    "scan_blocks",
    "tally_blocks",
    "unrewarding",
    "unsuited",
    "varies_over_mesh",
]
