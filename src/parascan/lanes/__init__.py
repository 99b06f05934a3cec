"""Blocks of a sequence run side by side, one lane each; knows nothing of carries, solvers or derivatives."""

from .choice import operations, unrewarding, unsuited
from .evaluate import Layout, scan_blocks

__all__ = ["Layout", "operations", "scan_blocks", "unrewarding", "unsuited"]
