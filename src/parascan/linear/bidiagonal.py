"""The residual Jacobian: identity on the diagonal, ``-A_t`` below it, for t = 2..T.

Solving with it *is* the linear recurrence ``s_t = A_t s_{t-1} + b_t``, and solving with its transpose is the recurrence
that runs backwards. The derivative of a solution follows from the matrix alone, ``ds = J^-1 (db - dJ s)``, so it is
stated here, once, for all structures and backends.
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp

from ..programs.device_axis import DeviceAxis, one_earlier, one_later
from ..solution import Trajectory
from ._abstract import AbstractTransition
from .backend_choice import choose_backend
from .backends import backend_called, find_backend
from .device_scan import run_over
from .transitions import ZeroTransition


class Bidiagonal(eqx.Module):
    """The TD x TD matrix ``J`` of a linear recurrence, as a map of ``[T D]`` arrays; never formed.

    Products cost one parallel pass over the transition, solves one recurrence. Solves can be differentiated in forward
    and reverse mode and to any order, with respect to the transition and to the right-hand side.

    Args:
        transition: ``A_1 .. A_T``; ``A_1`` has no place in the matrix.
        backend: name of the backend that solves; ``"auto"`` chooses by structure, length and platform.
        devices: that the rows are cut over along time, which decide how it is solved; None for one device.

    Source: Gonzalez et al. 2025, section 2 (the Jacobian of the residual).
    """

    transition: AbstractTransition
    backend: str = eqx.field(static=True, default="auto")
    devices: DeviceAxis | None = eqx.field(static=True, default=None)

    def mv(self, v: Trajectory) -> Trajectory:
        """``J v``."""
        return v - self.transition.apply(one_later(jnp.zeros_like(v[0]), v, self.devices))

    def transposed_mv(self, v: Trajectory) -> Trajectory:
        """``J^T v``."""
        return v - one_earlier(self.transition.apply_transposed(v), jnp.zeros_like(v[0]), self.devices)

    def solve(self, b: Trajectory) -> Trajectory:
        """``J^-1 b``, the solution of ``s_t = A_t s_{t-1} + b_t`` from ``s_0 = 0``."""
        return self._solve(b, transpose=False)

    def transposed_solve(self, b: Trajectory) -> Trajectory:
        """``J^-T b``, the solution of ``y_t = A_{t+1}^T y_{t+1} + b_t`` that ends with ``y_T = b_T``."""
        return self._solve(b, transpose=True)

    def _solve(self, b: Trajectory, *, transpose: bool) -> Trajectory:
        """Either solution, with its derivative."""
        if len(b) == 0 or isinstance(self.transition, ZeroTransition):
            return b
        name = backend_called(self.backend)
        if name == "auto":
            name = choose_backend(self.transition, len(b))
        run = find_backend(name, self.transition).run
        if self.devices is not None and self.devices.size <= len(b):
            run = partial(run_over, devices=self.devices)
        given = Bidiagonal(self.transition.transposable(), devices=self.devices)
        return jax.lax.custom_linear_solve(
            given.transposed_mv if transpose else given.mv,
            b,
            solve=lambda _, rhs: run(self.transition, rhs, transpose=transpose),
            transpose_solve=lambda _, rhs: run(self.transition, rhs, transpose=not transpose),
        )
