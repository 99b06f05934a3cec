"""PyTorch: recurrences and layers of this package called with tensors, on the CPU, with gradients.

Import it by name, ``import parascan.torch``; the rest of the package does not need PyTorch.
"""

from ..api.extras import missing

try:
    import torch as torch
except ImportError as error:
    raise ImportError(missing("torch", "parascan.torch needs", "torch")) from error

from .scan_function import scan_function as scan_function
from .torch_module import Layer as Layer
from .torch_weights import from_torch as from_torch
from .torch_weights import to_torch as to_torch

__all__ = ["Layer", "from_torch", "scan_function", "to_torch"]
