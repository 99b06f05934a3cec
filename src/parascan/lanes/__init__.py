"""Blocks of a sequence run side by side, one lane each; knows nothing of carries, solvers or derivatives."""

from .choice import LEAST_WORK, operations, unsuited
from .evaluate import Layout, scan_blocks

__all__ = ["LEAST_WORK", "Layout", "operations", "scan_blocks", "unsuited"]
