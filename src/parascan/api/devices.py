"""Several devices: a mesh over all cores of a CPU, and the placement of a call's arguments on a mesh."""

import contextlib
import os

import jax
from jax.core import Tracer
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ..problem.arguments import check_counts
from ..programs.device_axis import DeviceAxis
from ..solution import Tree

FLAGS = ("xla_cpu_multi_thread_eigen", "xla_cpu_enable_concurrency_optimized_scheduler")
"""Flags of XLA that are turned off for several devices of a CPU: whether operations on one device may use several
threads, and whether it orders operations so that independent ones overlap. With the second, messages may go out in
another order on each device, and all wait for ever."""


def every_core(count: int | None = None) -> Mesh:
    """A mesh with one device for each core of the CPU, for the ``mesh`` of ``scan`` and ``rollout``.

    JAX shows a CPU as one device unless it is told otherwise before its first computation. Called before that, this
    function tells it (``jax_num_cpu_devices``) and turns two flags off in ``XLA_FLAGS``, unless you have set them.
    ``xla_cpu_multi_thread_eigen``: devices that share threads wait for each other, which costs a fifth of the speed.
    ``xla_cpu_enable_concurrency_optimized_scheduler``: with it devices may wait for each other for ever. The mesh is of
    the CPU even where JAX has accelerators.

    Args:
        count: number of devices; None for the cores that this process may use.

    Returns:
        A mesh of one axis, "time".

    Raises:
        TypeError: ``count`` is no integer.
        ValueError: ``count`` is less than one.
        RuntimeError: JAX has been in use already with fewer devices.

    Examples:
        >>> import parascan as ps
        >>> ps.every_core(1).axis_names
        ('time',)
    """
    check_counts(optional=True, count=count)
    wanted = count or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))
    # In use already, JAX refuses: then what it has must do.
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", wanted)
        for flag in FLAGS:
            flags = os.environ.get("XLA_FLAGS", "")
            if flag not in flags:
                os.environ["XLA_FLAGS"] = f"{flags} --{flag}=false".strip()
    devices = jax.devices("cpu")
    if len(devices) < wanted:
        raise RuntimeError(
            f"count: given {wanted}, but JAX has been in use with {len(devices)} CPU device(s), expected a call before "
            "the first computation, or the environment variable JAX_NUM_CPU_DEVICES."
        )
    return Mesh(devices[:wanted], ("time",))


def placed(init: Tree, xs: Tree, devices: DeviceAxis | None) -> tuple[Tree, Tree]:
    """The arguments of a call on the devices of a mesh: the carry on all, the inputs cut along time where T allows.

    Arrays that are bound to no device stay where they are: the compiled call moves them to the devices that it needs.

    Args:
        init: initial carry.
        xs: inputs with leading axis T.
        devices: of the call, or None to leave everything where it is.
    """
    leaves = jax.tree.leaves((init, xs))
    if devices is None or any(isinstance(leaf, Tracer) for leaf in leaves):
        return init, xs
    mesh = devices.mesh
    known = set(mesh.devices.flat) if isinstance(mesh, Mesh) else set()
    strange = any(leaf.committed and leaf.sharding.device_set != known for leaf in leaves)
    if not known or not strange:
        return init, xs
    everywhere, along_time = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, devices.rows())

    def place(leaf: jax.Array) -> jax.Array:
        return jax.device_put(leaf, along_time if leaf.ndim and devices.divides(len(leaf)) else everywhere)

    return jax.device_put(init, everywhere), jax.tree.map(place, xs)
