"""Whether a step has forward derivatives at all, checked before anything needs them."""

from collections.abc import Callable
from typing import Any, Protocol

import jax

from ..solution import State, Tree
from .inside import names_in
from .primitives import CALLBACKS


class _Steps(Protocol):
    """What is used of a recurrence, of single steps or of blocks."""

    @property
    def entrance(self) -> tuple[Callable[[State, Tree], State], Tree]:
        """One step, from a flat state and its inputs, and the shapes of those inputs."""
        ...

    @property
    def size(self) -> int:
        """Number of entries of a state."""
        ...

    @property
    def dtype(self) -> Any:
        """Dtype of the states."""
        ...


def refuse_steps_without_derivative(problem: _Steps) -> None:
    """Refuse a recurrence whose steps cannot be differentiated forwards.

    Raises:
        ValueError: they have no forward derivative, with what to do.
    """
    advance, inputs = problem.entrance
    refuse_without_derivative(advance, jax.ShapeDtypeStruct((problem.size,), problem.dtype), inputs)


def refuse_without_derivative(advance: Callable[[State, Tree], State], state: Any, inputs: Tree) -> None:
    """Refuse a step that cannot be differentiated forwards, such as one that calls back into Python.

    Args:
        advance: one step, from a flat state and its inputs; it has been traced before.
        state: shape of a state.
        inputs: shapes of the inputs of a step.

    Raises:
        ValueError: it has no forward derivative, with what to do.
    """

    def along(state: State, tangent: State, inputs: Tree) -> State:
        return jax.jvp(lambda s: advance(s, inputs), (state,), (tangent,))[1]

    try:
        jax.eval_shape(along, state, state, inputs)
    except Exception as error:
        raise ValueError(
            f"step: given one {_reason(advance, state, inputs)}, expected one with forward derivatives, which every "
            "linearization, exponent, forecast and certificate is made of. Give that part of the step a rule by "
            "jax.custom_jvp, or use solver=Sequential() or ps.picard(), which take no derivatives."
        ) from error


def _reason(advance: Callable[[State, Tree], State], state: Any, inputs: Tree) -> str:
    """What keeps a step from being differentiated, in a few words."""
    called = sorted(CALLBACKS & names_in(jax.make_jaxpr(advance)(state, inputs).jaxpr))
    return f"that calls Python by jax.{called[-1]}" if called else "with an operation that has no derivative rule"
