"""Steps with a pullback of the user's own (``jax.custom_vjp``), which is found in the program or taken out of it.

Such a rule has no forward mode, so it has neither Jacobian nor tangent. Solving for a trajectory does not need the
rule, since the function under it has the same values. Differentiating the answer has to use it.
"""

from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

from .closure import Closed
from .inside import as_closed, bind, interpreted, opened, programs_in
from .primitives import OWN_PULLBACKS
from .shapes import shape_like


def has_own_pullback(closed: ClosedJaxpr) -> bool:
    """Whether a program, or a program in it, has a pullback of the user's own."""
    return _has_rule(closed.jaxpr)


def without_own_pullbacks(step: Closed) -> Closed:
    """The step with every such function but without its rule; not for derivatives of the answer.

    Args:
        step: the step.
    """
    return step.rewritten(_evaluated) if has_own_pullback(step.closed) else step


def _has_rule(program: Jaxpr) -> bool:
    """Whether a program without its arrays has such a pullback, or one inside it."""
    return any(
        eqn.primitive.name in OWN_PULLBACKS
        or any(_has_rule(opened(part)[0]) for value in eqn.params.values() for part in programs_in(value))
        for eqn in program.eqns
    )


def _evaluated(closed: ClosedJaxpr, args: Any) -> list[Any]:
    """Results of a program without rules."""
    return interpreted(closed, args, _apply)


def _apply(eqn: JaxprEqn, operands: list[Any]) -> list[Any]:
    """Results of an operation without rules."""
    if eqn.primitive.name in OWN_PULLBACKS:
        inner = next(part for value in eqn.params.values() for part in programs_in(value))
        return _evaluated(as_closed(inner), operands)
    return bind(eqn, {name: _rewritten(value) for name, value in eqn.params.items()}, operands)


def _rewritten(value: Any) -> Any:
    """A parameter of an operation, with rules taken out of the programs in it."""
    parts = programs_in(value)
    if not any(_has_rule(opened(part)[0]) for part in parts):
        return value
    if isinstance(value, list | tuple):
        return type(value)(map(_rewritten, value))
    closed = as_closed(value)
    shapes = [shape_like(variable.aval) for variable in closed.jaxpr.invars]
    plain = jax.make_jaxpr(lambda *args: _evaluated(closed, args))(*shapes)
    return plain if hasattr(value, "consts") else plain.jaxpr
