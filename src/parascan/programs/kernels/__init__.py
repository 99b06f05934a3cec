"""A step as the body of one kernel for an accelerator: what it computes, entry by entry, and in which parts."""

from .row_kernel import RowKernel, kernel_of

__all__ = ["RowKernel", "kernel_of"]
