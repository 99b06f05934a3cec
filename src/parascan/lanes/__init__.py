"""Blocks of a sequence run side by side, one lane each; knows nothing of carries, solvers or derivatives."""

from .batch import batch_size
from .choice import adjoint_pays, costly, lanes_at_once, operations, unrewarding, unsuited
from .engine import AbstractTally
from .evaluate import Layout, scan_blocks, tally_blocks

__all__ = [
    "AbstractTally",
    "Layout",
    "adjoint_pays",
    "batch_size",
    "costly",
    "lanes_at_once",
    "operations",
    "scan_blocks",
    "tally_blocks",
    "unrewarding",
    "unsuited",
]
