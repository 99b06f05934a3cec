"""The damped least-squares step ``min ||r + J d||^2 + alpha ||d||^2`` as a Kalman smoother, in sequence or in parallel.

With ``J`` the residual Jacobian of a transition, the minimizer is the smoothed mean of the linear Gaussian model
``d_t = A_t d_{t-1} - r_t + w_t``, ``w_t ~ N(0, q_t I)``, seen through ``0 = d_t + v_t``, ``v_t ~ N(0, I / alpha)``.
Three recurrences give it: one for the filtered covariances ``C_t``, which is nonlinear but a composition of
fractional-linear maps and so has a parallel form too, and two linear ones for the means, forward and back. No normal
equations are formed, so the condition number is not squared, and ``C_t <= I / alpha`` keeps every product finite
however fast ``A_t`` grow.

Source: Gonzalez et al. 2024 (ELK); Särkkä and García-Fernández 2021 for the parallel form of the filter.
"""

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Float

from ..programs.device_axis import DeviceAxis, one_earlier, one_later
from ..solution import Trajectory
from ._abstract import AbstractTransition
from .backend_choice import choose_backend
from .backends import backend_called
from .bidiagonal import Bidiagonal
from .block_diagonal import BlockTransition
from .covariances import DENSE, DIAGONAL, RICCATI, Algebra, Matrices, Model, apply, congruence, device_covariances
from .transitions import DiagonalTransition, ScalarTransition, ZeroTransition

WORKING = {jnp.dtype("bfloat16"): jnp.dtype("float32"), jnp.dtype("float16"): jnp.dtype("float32")}
"""Dtypes too narrow for covariances, with the one that is used instead."""


def damped_solve(
    transition: AbstractTransition,
    r: Trajectory,
    damping: float | Float[Array, ""],
    known: Bool[Array, " T"] | None = None,
    *,
    backend: str = "auto",
    devices: DeviceAxis | None = None,
) -> Trajectory:
    """The correction ``d`` that minimizes ``||r + J d||^2 + damping ||d||^2``, ``J`` the residual Jacobian.

    Depth T in sequence, of order log T or ``T / 512`` in parallel; work T D^3 dense, T D diagonal; memory a few
    arrays like the matrices. Matrices that are not stored are written out first.

    Args:
        transition: ``A_1 .. A_T``; ``A_1`` has no effect.
        r: residuals ``[T D]``, floating, in the dtype of the transition.
        damping: weight of the size of the correction, dimensionless, positive (zero gives ``-J^-1 r``).
        known: leading steps ``[T]`` whose correction is exactly zero, or None for none.
        backend: ``"auto"``, ``"sequential"``, ``"associative"`` or ``"chunked"``.
        devices: that the steps are cut over, which decide how it is solved; None for one device.

    Returns:
        ``d``, of the shape and dtype of ``r``.

    Source: Gonzalez et al. 2024, equation 4 (ELK's step).

    Examples:
        >>> import jax.numpy as jnp
        >>> print(damped_solve(ZeroTransition(2, 1, jnp.float32), jnp.ones((2, 1)), 1.0).ravel())
        [-0.5 -0.5]
    """
    backend = backend_called(backend)
    if backend == "auto":
        backend = choose_backend(transition, len(r)) if len(r) else "sequential"
    backend = backend if backend in RICCATI else "sequential"
    devices = devices if devices is not None and devices.size <= len(r) else None
    working = WORKING.get(jnp.dtype(r.dtype), r.dtype)
    alpha = jnp.asarray(damping, working)
    q = jnp.ones(len(r), working) if known is None else jnp.where(known, 0, 1).astype(working)
    wide = r.astype(working)
    if isinstance(transition, ZeroTransition):
        return jnp.where(q[:, None] > 0, -wide / (1 + alpha), 0).astype(r.dtype)
    if isinstance(transition, BlockTransition):
        grouped = jax.vmap(transition.group)(wide)
        solve = jax.vmap(lambda A, r: _smooth(DENSE, Model(A, q, alpha), r, backend, devices), in_axes=1, out_axes=1)
        return jax.vmap(transition.ungroup)(solve(transition.matrices.astype(working), grouped)).astype(r.dtype)
    if isinstance(transition, ScalarTransition | DiagonalTransition):
        rows = transition.factors[:, None] if isinstance(transition, ScalarTransition) else transition.diagonal
        A = jnp.broadcast_to(rows, r.shape).astype(working)
        return _smooth(DIAGONAL, Model(A, q, alpha), wide, backend, devices).astype(r.dtype)
    return _smooth(DENSE, Model(transition.as_dense().astype(working), q, alpha), wide, backend, devices).astype(
        r.dtype
    )


def _smooth(
    algebra: Algebra, model: Model, r: Trajectory, backend: str, devices: DeviceAxis | None = None
) -> Trajectory:
    """The smoothed means: covariances, then filtered means forward, then smoothed means back."""
    if not len(r):
        return r
    first = jnp.zeros_like(model.A[:1])
    if devices is None:
        model = model._replace(A=jnp.concatenate([first, model.A[1:]]))
        covariances = RICCATI[backend](algebra, model)
        before = jnp.concatenate([first, covariances[:-1]])
        forward, offsets, back = _gains(algebra, model, before, r)
    else:
        # Not by a slice, of which the compiler would make one array for all devices.
        is_first = (jnp.arange(len(r)) == 0).reshape(-1, *[1] * (model.A.ndim - 1))
        model = model._replace(A=jnp.where(is_first, 0, model.A))
        forward, offsets, back = _gains_over(algebra, model, r, devices)
    means = Bidiagonal(algebra.transition(forward), backend, devices).solve(offsets)
    # The first matrix is zero, so its row of these is of no effect.
    ahead = algebra.transition(model.A).apply(one_later(jnp.zeros_like(r[0]), means, devices)) - r
    returned = algebra.transition(back).apply_transposed(ahead)
    remaining = means - one_earlier(returned, jnp.zeros_like(r[0]), devices)
    return Bidiagonal(algebra.transition(back), backend, devices).transposed_solve(remaining)


def _gains(algebra: Algebra, model: Model, before: Matrices, r: Trajectory) -> tuple[Matrices, Trajectory, Matrices]:
    """Matrices and offsets of the filtered means, and those that lead back, from the covariances before each step."""

    def gains(A: Matrices, C: Matrices, q: Float[Array, ""], r: Array) -> tuple[Matrices, Array, Matrices]:
        predicted = algebra.shift(congruence(algebra, A, C), q)
        gained = algebra.shift(model.alpha * predicted, jnp.ones_like(q))
        # Where d is known nothing is predicted, and any invertible matrix will do in its place.
        invertible = algebra.shift(predicted, 1 - q)
        return (
            algebra.solve(gained, A),
            apply(algebra, algebra.solve(gained, algebra.shift(jnp.zeros_like(A), jnp.ones_like(q))), -r),
            algebra.solve(invertible, algebra.multiply(A, C)),
        )

    return jax.vmap(gains)(model.A, before, model.q, r)


def _gains_over(
    algebra: Algebra, model: Model, r: Trajectory, devices: DeviceAxis
) -> tuple[Matrices, Trajectory, Matrices]:
    """The same over devices, each with its own steps; steps that are added to divide them are known and follow none."""
    missing = -len(r) % devices.size
    rows = [jnp.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1)) if missing else leaf for leaf in (*model[:2], r)]

    def local(alpha: Array, A: Matrices, q: Array, r: Trajectory) -> tuple[Matrices, Trajectory, Matrices]:
        own = Model(A, q, alpha)
        return _gains(algebra, own, device_covariances(algebra, own, devices)[1], r)

    by_time = devices.rows()
    found = devices.over(local, (PartitionSpec(), by_time, by_time, by_time), by_time)(model.alpha, *rows)
    return tuple(leaf[: len(r)] for leaf in found) if missing else found
