"""Tensors as arrays and arrays as tensors. Neither shares memory with the other, so that either may be written to."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

WIDE = {torch.float64: "float32", torch.int64: "int32"}
"""Kinds of numbers that JAX would narrow unless 64-bit numbers are enabled, and what it would make of them."""


def wide_numbers() -> bool:
    """Whether 64-bit numbers are enabled in JAX, in this thread."""
    return jnp.zeros((), int).dtype == np.int64


def to_jax(name: str, tensor: Any) -> jax.Array:
    """A copy of a tensor's numbers as an array.

    Optimizers write into parameters in place, while JAX takes an array for one that never changes: it may not have
    been read yet, or be kept for the backward pass. So it is a copy that JAX gets, whatever the tensor's alignment.

    Args:
        name: of the argument, for errors.
        tensor: dense and real, on the CPU, with any strides.

    Raises:
        TypeError: it is no tensor; complex; or 64 bits wide while JAX has 64-bit numbers disabled.
        ValueError: it is sparse, not on the CPU, or stands for others within ``torch.func`` or ``torch.vmap``.
    """
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name}: given {type(tensor).__name__}, expected a torch.Tensor.")
    if tensor.layout != torch.strided:
        raise ValueError(f"{name}: given a tensor of layout {tensor.layout}, expected a dense one.")
    if tensor.device.type != "cpu":
        raise ValueError(f"{name}: given a tensor on {tensor.device}, expected one on the CPU.")
    if tensor.is_complex():
        raise TypeError(f"{name}: given {tensor.dtype}, expected real numbers.")
    if tensor.dtype in WIDE and not wide_numbers():
        raise TypeError(
            f"{name}: given {tensor.dtype}, which JAX would narrow: call jax.config.update('jax_enable_x64', True) "
            f"before, or give torch.{WIDE[tensor.dtype]}."
        )
    try:
        # JAX's own option for a copy is not heeded on the CPU, with JAX 0.10.
        own = tensor.detach().resolve_neg().clone(memory_format=torch.contiguous_format)
        return jnp.from_dlpack(own).block_until_ready()
    except RuntimeError as error:
        raise ValueError(
            f"{name}: given a tensor whose memory cannot be read ({error}), expected a plain one: functions of "
            "parascan.torch cannot be transformed by torch.func or torch.vmap."
        ) from error


def to_tensor(array: jax.Array) -> torch.Tensor:
    """A copy of an array's numbers as a tensor.

    PyTorch may write into a tensor; the array may be one that JAX still holds, for the backward pass.

    Args:
        array: on the CPU.
    """
    return torch.from_dlpack(array.block_until_ready()).clone()
