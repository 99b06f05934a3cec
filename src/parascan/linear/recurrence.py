"""``linear_recurrence``: it checks the arguments, adds the initial state, and solves with the residual Jacobian."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float

from ..programs.automatic_axes import run_automatic
from ..programs.batched_axes import spec_of
from ..programs.device_axis import DeviceAxis, devices_of
from ..solution import State, Trajectory
from ._abstract import AbstractComposableTransition, AbstractTransition, require_rows
from .backends import backend_called, find_backend
from .bidiagonal import Bidiagonal
from .transitions import DenseTransition, DiagonalTransition, ScalarTransition

NARROW = (jnp.dtype("bfloat16"), jnp.dtype("float16"))
"""Dtypes whose recurrences over stored matrices are accumulated in float32."""


def linear_recurrence(
    A: AbstractTransition | Float[Array, "T ..."],
    b: Trajectory,
    s0: State | None = None,
    *,
    transpose: bool = False,
    reverse: bool = False,
    backend: str = "auto",
    mesh: Mesh | DeviceAxis | None = None,
) -> Trajectory:
    """All states of ``s_t = A_t s_{t-1} + b_t``, or the adjoint of the map from ``b`` to them.

    Runs the recurrence step by step or as a tree of partial products, whichever suits structure, length and platform.
    Depth T and D^2 work a step for dense matrices in sequence; depth of order log T or ``T / 512`` and D^3 work a step
    in parallel. The derivative with respect to every argument, in either mode and to any order, is again one linear
    recurrence; nothing of the tree is stored for it. Matrices are multiplied in their full precision (no TF32),
    bfloat16 and float16 are accumulated in float32, and products over stretches in which the system grows are kept as a
    matrix times a power of two, so that they do not overflow where the states do not.

    Args:
        A: a transition, or an array: [T D D] dense, [T D] diagonal, [T] multiples of the identity; or [D D] or [D], the
            same dense or diagonal matrix at every step. Where T = D a matrix is [T D] and a vector [T].
        b: offsets, row k is ``b_{k+1}``, shape [T D], floating, with the dtype of ``A``.
        s0: initial state, shape [D], same dtype; zero if None, and then ``A_1`` has no effect.
        transpose: return the adjoint instead, ``y_T = b_T`` and ``y_t = A_{t+1}^T y_{t+1} + b_t``.
        reverse: run from the last row to the first, ``s_t = A_t s_{t+1} + b_t`` from ``s_{T+1} = s0``.
        backend: ``"auto"``, ``"sequential"``, ``"associative"``, ``"chunked"`` or ``"contracting"``; ``"auto"`` is
            ``choose_backend``.
        mesh: devices that the rows are cut over, a mesh of one axis or with one called "time"; None for those that
            ``b`` is spread over along time. Each device scans its rows, one summary a device is exchanged (a matrix and
            a state), each device scans again; then the backend has no say. Where the devices do not divide T, rows of
            zeros are added.

    Returns:
        Row k is ``s_{k+1}`` (or ``y_{k+1}``), shape and dtype of ``b``.

    Raises:
        TypeError: ``mesh`` is none.
        ValueError: shapes, lengths or dtypes that do not fit together, ``s0`` together with ``transpose``, an unknown
            backend, or one that does not support the structure of ``A``, or a mesh of several axes of which none is
            known to be that of time.

    Source: Lim et al. 2024, equation 6 (the recurrence of a Newton step); Blelloch 1990 for its parallel form.

    Examples:
        >>> import jax.numpy as jnp
        >>> print(linear_recurrence(jnp.array([0.5, 0.5, 0.5]), jnp.ones((3, 1)), jnp.zeros(1)).ravel())
        [1.   1.5  1.75]
    """
    backend = backend_called(backend)
    b = jnp.asarray(b)
    require_rows("b", b, "[T D]", 2)
    devices = devices_of(mesh, b)
    transition = _as_transition(A, *b.shape)
    _check_fit(transition, b)
    if reverse:
        rows = _reversed(transition), b[::-1]
        return linear_recurrence(*rows, s0, transpose=transpose, backend=backend, mesh=devices)[::-1]
    if backend != "auto":
        find_backend(backend, transition)
    if s0 is not None:
        s0 = _checked_initial(s0, b, transpose)
    system = Bidiagonal(transition, backend, devices)
    if isinstance(transition, AbstractComposableTransition):
        return _solve_compiled(system, b, s0, transpose)
    # A matrix-free product may be a closure over traced values, which a compilation cache must not keep.
    return _solve_typed(system, b, s0, transpose)


def _solve_typed(system: Bidiagonal, b: Trajectory, s0: State | None, transpose: bool) -> Trajectory:
    """The states, spread as the offsets are."""

    def specs(states: Any) -> list[PartitionSpec]:
        return [spec_of(b)]

    return run_automatic(_solve, (system, b, s0, transpose), specs)


def _solve(system: Bidiagonal, b: Trajectory, s0: State | None, transpose: bool) -> Trajectory:
    """The states; ``s0`` is added to the first offset as ``A_1 s0``, and so has its derivative."""
    if b.dtype in NARROW and isinstance(system.transition, AbstractComposableTransition):
        narrow = b.dtype
        system, b, s0 = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (system, b, s0))
        return _solve(system, b, s0, transpose).astype(narrow)
    if s0 is not None and len(b):
        b = b.at[0].add(system.transition.product(system.transition.row(0), s0))
    return system.transposed_solve(b) if transpose else system.solve(b)


# Without it, an eager call would trace and compile its loops anew each time.
_solve_compiled = eqx.filter_jit(_solve_typed)


def _reversed(transition: AbstractTransition) -> AbstractTransition:
    """The same matrices in the order from last to first."""
    if not jax.tree.leaves(transition.slices):
        return transition
    rows = jax.tree.map(lambda leaf: leaf[::-1], transition.slices)
    return eqx.tree_at(lambda each: each.slices, transition, rows)


def _as_transition(A: Any, length: int, size: int) -> AbstractTransition:
    """The transition that an array stands for."""
    if isinstance(A, AbstractTransition):
        return A
    array = jnp.asarray(A)
    if length != size and array.shape in ((size,), (size, size)):
        array = jnp.broadcast_to(array, (length, *array.shape))
    if array.ndim == 1:
        return ScalarTransition(array, size)
    if array.ndim == 2:
        return DiagonalTransition(array)
    if array.ndim == 3:
        return DenseTransition(array)
    raise ValueError(
        f"A: given shape {array.shape}, expected a transition, or [T D D] (dense), [T D] (diagonal), [T] (multiples "
        "of the identity), or [D D] or [D] (one matrix for all steps)."
    )


def _check_fit(transition: AbstractTransition, b: Trajectory) -> None:
    """Refuse a transition of another length, size or dtype than the offsets."""
    for name, given, expected in (
        ("length", transition.length, b.shape[0]),
        ("size", transition.size, b.shape[1]),
        ("dtype", transition.dtype, b.dtype),
    ):
        if given != expected:
            raise ValueError(f"A: given {name} {given}, expected {expected}, as in b of shape {b.shape}.")


def _checked_initial(s0: Any, b: Trajectory, transpose: bool) -> State:
    """The initial state as an array that fits."""
    if transpose:
        raise ValueError(
            "s0: given together with transpose=True, expected None, since the adjoint of the map from b to the "
            "states has no initial state."
        )
    s0 = jnp.asarray(s0)
    if s0.shape != b.shape[1:] or s0.dtype != b.dtype:
        raise ValueError(
            f"s0: given shape {s0.shape} and dtype {s0.dtype}, expected shape {b.shape[1:]} and dtype {b.dtype}, one "
            "row of b."
        )
    return s0
