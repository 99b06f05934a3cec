"""Steps in bfloat16 whose comparisons see rounded numbers.

XLA computes bfloat16 operations in float32 and may leave out the rounding between them. A derivative that has to know
which of two numbers was the larger one may then compare a rounded number with an unrounded one, find neither equal, and
be zero, as for ``jnp.clip`` under ``jax.vmap(jax.jacfwd(step))``. Float16 is left alone: no such derivative was seen in
it, and rounding by ``jax.lax.reduce_precision`` would turn its subnormal numbers into zeros.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

from .closure import Closed
from .inside import bind, called, interpreted
from .primitives import COMPARING, PLAIN_CALLS


def comparing_rounded(step: Closed) -> Closed:
    """The step with narrow operands of comparisons rounded beforehand; itself where there are none.

    Args:
        step: ``(carry, x) -> (carry, y)``.
    """
    return step.rewritten(_run) if _compares_narrow(step.program.jaxpr) else step


def _compares_narrow(program: Jaxpr) -> bool:
    """Whether there is a comparison of narrow numbers that this module can reach."""
    return any(
        _compares_narrow(inner.jaxpr)
        if (inner := _plainly_called(eqn)) is not None
        else eqn.primitive.name in COMPARING and any(_is_narrow(atom.aval) for atom in eqn.invars)
        for eqn in program.eqns
    )


def _run(closed: ClosedJaxpr, args: Sequence[Any]) -> list[Any]:
    """Results of a program."""
    return interpreted(closed, args, _apply)


def _apply(eqn: JaxprEqn, operands: list[Any]) -> list[Any]:
    """Results of an operation."""
    if (inner := _plainly_called(eqn)) is not None:
        return _run(inner, operands)
    comparing = eqn.primitive.name in COMPARING
    return bind(eqn, eqn.params, [_rounded(each) for each in operands] if comparing else operands)


def _plainly_called(eqn: JaxprEqn) -> ClosedJaxpr | None:
    """The program of an operation that is only a call, or None for any other operation."""
    return called(eqn) if eqn.primitive.name in PLAIN_CALLS else None


def _rounded(value: Any) -> Any:
    """The array, rounded to bfloat16's digits where it is of that dtype."""
    if not _is_narrow(value):
        return value
    # In its own dtype it would be no operation, which XLA leaves out as well.
    info = jnp.finfo(jnp.bfloat16)
    wide = jax.lax.reduce_precision(jax.lax.convert_element_type(value, jnp.float32), info.nexp, info.nmant)
    return jax.lax.convert_element_type(wide, jnp.bfloat16)


def _is_narrow(value: Any) -> bool:
    """Whether a value is of bfloat16."""
    return getattr(value, "dtype", None) == jnp.bfloat16
