"""Row 8: the linear recurrence alone, against `lax.associative_scan` on the same operands."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import jax.random as jr

import parascan as ps

from .. import yardsticks
from ..case import Case, Size, Work, timed
from ..harness import assert_close

LENGTH = 65536
SHAPES = (("dense", 4, 4.0), ("dense", 16, 4.0), ("dense", 64, 4.0), ("diagonal", 64, 2.0))


def run(size: Size) -> Iterator[Case]:
    """Each structure and dtype, forward and transposed."""
    T = size.length(LENGTH)
    for kind, D, target in SHAPES:
        for dtype in (jnp.float32, jnp.float64):
            shape = (T, D, D) if kind == "dense" else (T, D)
            A = 0.9 * jr.uniform(jr.key(0), shape, dtype, -1, 1) / (D if kind == "dense" else 1)
            b = jr.normal(jr.key(1), (T, D), dtype)
            itemsize = jnp.dtype(dtype).itemsize
            work = Work(2 * A.size, (A.size + 2 * b.size) * itemsize)
            for transpose in (False, True):
                ours = jax.jit(lambda A, b, transpose=transpose: ps.linear_recurrence(A, b, transpose=transpose))
                # The adjoint is the recurrence backwards over the transposed matrices, one row later.
                assoc = jax.jit(_adjoint if transpose else yardsticks.associative)
                name = f"{kind} D={D} T={T} {jnp.dtype(dtype).name}{' transposed' if transpose else ''}"
                assert_close(ours(A, b), assoc(A, b), 4096, name)
                yield timed(
                    8,
                    name,
                    "ours / assoc",
                    lambda ours=ours, A=A, b=b: ours(A, b),
                    lambda assoc=assoc, A=A, b=b: assoc(A, b),
                    target,
                    size,
                    (work, dtype),
                )


def _adjoint(A: jax.Array, b: jax.Array) -> jax.Array:
    """`y_t = A_{t+1}^T y_{t+1} + b_t` by the same scan."""
    turned = jnp.concatenate([jnp.zeros_like(A[:1]), A[:0:-1]])
    turned = jnp.swapaxes(turned, -1, -2) if A.ndim == 3 else turned
    return yardsticks.associative(turned, b[::-1])[::-1]
