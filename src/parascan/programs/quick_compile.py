"""Programs that run once or a few times: a CPU's compiler takes a third of the time if it is not to optimize.

A diagnosis is a program of some hundred small kernels, which take ten seconds to compile and milliseconds to run. What
is compiled quickly runs two to three times as long.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.extend.core import Jaxpr
from jaxtyping import Array

from ..solution import Tree
from .platform import platform_of
from .work import equations, operations_of

MOST_OPERATIONS = 1e10
"""Operations of a program, with loops of unknown length as one turn, beyond which its run counts for more."""

OPTIONS: dict[str, bool | int] = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    # Half of the time where there is a choice of emitters of kernels, which JAX has up to version 0.10.
    "xla_cpu_use_fusion_emitters": False,
}
"""What XLA is told, as far as it knows the names, which differ between versions."""


def quickly_compiled(run: Callable[..., list[Array]], jaxpr: Jaxpr) -> Callable[..., list[Array]]:
    """A function in compiled form, compiled quickly where that is worth it and where JAX allows it.

    Args:
        run: the function, of trees of arrays.
        jaxpr: its program.
    """
    optimized = jax.jit(run)
    if platform_of() != "cpu" or _operations(jaxpr) > MOST_OPERATIONS:
        return optimized
    quick = jax.jit(run, compiler_options=_known_options())

    def call(*args: Tree) -> list[Array]:
        # Within a program that is being traced its options hold, and JAX refuses others.
        return (optimized if _is_traced(args) else quick)(*args)

    return call


@functools.cache
def _known_options() -> dict[str, bool | int]:
    """Those of the options that this version of XLA knows."""
    return {name: value for name, value in OPTIONS.items() if _is_known(name, value)}


def _is_known(name: str, value: bool | int) -> bool:
    """Whether a program can be compiled with an option."""
    try:
        jax.jit(lambda: jnp.zeros(()), compiler_options={name: value}).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


def _operations(jaxpr: Jaxpr) -> float:
    """Operations of a program, by how often each is run."""
    return sum(times * operations_of(eqn) for eqn, times in equations(jaxpr))


def _is_traced(args: Any) -> bool:
    """Whether a call becomes part of another program."""
    return any(isinstance(leaf, Tracer) for leaf in (*jax.tree.leaves(args), jnp.zeros(())))
