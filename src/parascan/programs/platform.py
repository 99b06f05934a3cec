"""The platform that a program runs on: that of its arrays or mesh, or else that of JAX's current default device.

``jax.default_backend()`` does not give it: it names the best platform there is, also under ``jax.default_device(cpu)``
and for arrays that are bound to another one. While JAX traces, arrays have no device. So the entry points set the
platform of a call once, by ``running_on`` or ``@on_its_platform``, and what is traced inside asks ``platform_of()``. A
program that is traced for one platform and lowered for another gives the same answers, but may be slower. Who lowers
or exports for a device that is not there says so by ``compiling_for``.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

import jax
from jax.core import Tracer
from jax.extend.backend import get_default_device
from jax.sharding import Mesh

KINDS = MappingProxyType({"cpu": "cpu", "gpu": "gpu", "cuda": "gpu", "rocm": "gpu", "tpu": "tpu"})
"""Kinds of platform by the names that JAX lowers for."""

# JAX keys its caches of traced programs by such a value, so none that was traced for one platform serves another.
_named = jax.make_user_context(default_value=None)
_with_kernels = jax.make_user_context(default_value=False)


def compiling_for(platform: str, *, kernels: bool = False) -> AbstractContextManager[None]:
    """A context in which programs are traced for a platform that need not be there, to be exported or lowered for it.

    Without it, what is traced on a host with a CPU alone is made for a CPU, wherever it runs later. Answers do not
    depend on it, only speed does. What is called in the context, rather than lowered, runs where it would without.

    Args:
        platform: ``"cpu"``, ``"gpu"``, ``"cuda"``, ``"rocm"`` or ``"tpu"``. It counts before arrays and meshes.
        kernels: whether there may be kernels of the library's own for a GPU, as there are on one without this context.
            They can be compiled, but neither exported nor lowered where JAX has no compiler for GPUs.

    Returns:
        The context manager.

    Raises:
        ValueError: another name.

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> from parascan.planning import compiling_for
        >>> step = lambda s, x: (jnp.tanh(0.5 * s + x),) * 2
        >>> run = jax.jit(lambda xs: ps.scan(step, jnp.zeros(3), xs)[1])
        >>> with compiling_for("cuda"):
        ...     exported = jax.export.export(run, platforms=("cuda",))(jnp.ones((5000, 3)))
        >>> exported.platforms
        ('cuda',)
    """
    if platform not in KINDS:
        raise ValueError(f"platform: given {platform!r}, expected one of {', '.join(map(repr, KINDS))}.")
    return _compiling(KINDS[platform], kernels)


@contextlib.contextmanager
def _compiling(kind: str, kernels: bool) -> Iterator[None]:
    """The context of ``compiling_for``."""
    with _named(kind), _with_kernels(kernels):
        yield


def kernels_wanted() -> bool:
    """Whether what is traced may hold kernels of the library's own, which are for a GPU."""
    return platform_of() == "gpu" and (_named.value is None or _with_kernels.value)


def platform_of(*trees: Any, mesh: Mesh | None = None) -> str:
    """The platform, ``"cpu"``, ``"gpu"`` or ``"tpu"``, on which a call with these arguments runs.

    Args:
        *trees: arguments; arrays among them that are bound to devices count, traced ones and others do not.
        mesh: the devices of a call, which count before its arguments.
    """
    if (named := _named.value) is not None:
        return named
    bound = mesh.devices.flat[0].platform if isinstance(mesh, Mesh) else None
    for leaf in jax.tree.leaves(trees) if bound is None else ():
        if isinstance(leaf, jax.Array) and not isinstance(leaf, Tracer) and leaf.committed:
            bound = next(iter(leaf.sharding.device_set)).platform
            break
    platform = get_default_device().platform if bound is None else bound
    return KINDS.get(platform, platform)


P = ParamSpec("P")
Answer = TypeVar("Answer")


@contextlib.contextmanager
def running_on(*trees: Any, mesh: Mesh | None = None) -> Iterator[str]:
    """A context that gives the platform of a call, and in which it is JAX's default platform.

    Args:
        *trees: arguments of the call; arrays among them that are bound to devices count.
        mesh: the devices of the call, which count before its arguments.
    """
    platform = platform_of(*trees, mesh=mesh)
    if _named.value is not None or platform == get_default_device().platform:
        yield platform
        return
    with jax.default_device(jax.local_devices(backend=platform)[0]):
        yield platform


def on_its_platform(function: Callable[P, Answer]) -> Callable[P, Answer]:
    """A decorator for an entry point: all of it is traced and run on the platform of its arguments.

    Args:
        function: whose argument ``mesh``, if it has one, is given by name.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> Answer:
        mesh: Any = kwargs.get("mesh")
        with running_on(args, kwargs, mesh=mesh):
            return function(*args, **kwargs)

    return run
