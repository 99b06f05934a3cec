"""Steps with a pullback of the user's own (``jax.custom_vjp``): found in the program, and taken out of it.

Such a rule has no forward mode, so neither a Jacobian nor a tangent can be had of it. Who solves for a trajectory has
no need of the rule: the function under it has the same values. Who differentiates the answer has to pull through it.
"""

from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

from ..programs.closure import Hoisted, hoist
from ..programs.inside import bind, interpreted
from .carry import CarryLayout

RULE = "custom_vjp_call"
"""How names of the operation begin."""


def has_own_pullback(closed: ClosedJaxpr) -> bool:
    """Whether a program, or a program in it, has a pullback of the user's own."""
    return _has_rule(closed.jaxpr)


def only_step_by_step(step: Hoisted, layout: CarryLayout, *, kept: bool) -> bool:
    """Whether a step's derivative has to be taken as JAX takes it, through the plain loop.

    That is so for a pullback of the user's own, and where a floating carry leaf reaches no output and no other leaf:
    JAX leaves such a leaf out of the derivative of what is asked for, and with it what is NaN there; in one system with
    all others it would make them NaN. A single floating leaf is what is asked for.

    Args:
        step: the step, ``(carry, x) -> (carry, y)``.
        layout: of its carry.
        kept: whether the last of its outputs are the new carry once more.
    """
    if has_own_pullback(step.closed):
        return True
    count = len(layout.leaves)
    if sum(leaf.continuous for leaf in layout.leaves) < 2:
        return False
    try:
        unread = step.unread(count, ignored=count if kept else 0)
    except Exception:
        # What the analysis does not understand is read.
        return False
    return any(layout.leaves[index].continuous for index in unread)


def without_own_pullbacks(step: Hoisted, *example: Any) -> Hoisted:
    """The step with every function in the place of its own pullback; not to be differentiated for its answer.

    Args:
        step: the step.
        example: shapes of its arguments.
    """
    if not has_own_pullback(step.closed):
        return step
    return hoist(lambda *args: step.program.assembled(_evaluated(step.closed, jax.tree.leaves(args))), *example)


def _has_rule(jaxpr: Jaxpr) -> bool:
    """The same for a program without its arrays."""
    return any(
        eqn.primitive.name.startswith(RULE)
        or any(_has_rule(_opened(part)) for value in eqn.params.values() for part in _programs(value))
        for eqn in jaxpr.eqns
    )


def _evaluated(closed: ClosedJaxpr, args: Any) -> list[Any]:
    """Results of a program without rules."""
    return interpreted(closed, args, _apply)


def _apply(eqn: JaxprEqn, operands: list[Any]) -> list[Any]:
    """Results of an operation without rules."""
    if eqn.primitive.name.startswith(RULE):
        inner = next(part for value in eqn.params.values() for part in _programs(value))
        return _evaluated(_closed(inner), operands)
    return bind(eqn, {name: _rewritten(value) for name, value in eqn.params.items()}, operands)


def _rewritten(value: Any) -> Any:
    """A parameter of an operation, with rules taken out of the programs in it."""
    if isinstance(value, list | tuple) and any(map(_is_program, value)):
        return type(value)(map(_rewritten, value))
    if not _is_program(value) or not _has_rule(_opened(value)):
        return value
    closed = _closed(value)
    shapes = [jax.ShapeDtypeStruct(variable.aval.shape, variable.aval.dtype) for variable in closed.jaxpr.invars]
    plain = jax.make_jaxpr(lambda *args: _evaluated(closed, args))(*shapes)
    return plain if isinstance(value, ClosedJaxpr) else plain.jaxpr


def _programs(value: Any) -> list[Any]:
    """Programs in a parameter of an operation."""
    return [part for part in (value if isinstance(value, list | tuple) else [value]) if _is_program(part)]


def _is_program(value: Any) -> bool:
    """Whether a value is a program, with its arrays or without."""
    return isinstance(value, ClosedJaxpr | Jaxpr)


def _opened(program: Any) -> Jaxpr:
    """A program without its arrays."""
    return program.jaxpr if isinstance(program, ClosedJaxpr) else program


def _closed(program: Any) -> ClosedJaxpr:
    """A program with its arrays."""
    return program if isinstance(program, ClosedJaxpr) else ClosedJaxpr(program, [])
