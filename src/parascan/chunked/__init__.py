"""Chunks of a sequence run side by side, and when their answer is accepted; without carries, solvers or derivatives."""

from .adjoint_pays import adjoint_pays
from .batch import batch_size, merged
from .chunk_count import SHORTEST_BLOCK, TRIAL_SHARE, Patience, choose_chunks, chunks_at_once
from .coupled_copies import COPIES
from .dispatch import Layout, patience_of, scan_blocks, tally_blocks
from .engine import Way, no_blocks, scan_steps
from .grid import Grid
from .plain_loop import AbstractTally
from .probe import coupling_rows, fill_rows

__all__ = [
    "COPIES",
    "SHORTEST_BLOCK",
    "TRIAL_SHARE",
    "AbstractTally",
    "Grid",
    "Layout",
    "Patience",
    "Way",
    "adjoint_pays",
    "batch_size",
    "choose_chunks",
    "chunks_at_once",
    "coupling_rows",
    "fill_rows",
    "merged",
    "no_blocks",
    "patience_of",
    "scan_blocks",
    "scan_steps",
    "tally_blocks",
]
