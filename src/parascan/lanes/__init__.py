"""Blocks of a sequence run side by side, one lane each; knows nothing of carries, solvers or derivatives."""

from .batch import batch_size
from .choice import adjoint_pays, operations, unrewarding, unsuited
from .evaluate import Layout, scan_blocks

__all__ = ["Layout", "adjoint_pays", "batch_size", "operations", "scan_blocks", "unrewarding", "unsuited"]
