"""The sparsity of a step's Jacobian, found in the program of the step: what a Newton step need not store or compute."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import equinox as eqx
import jax
import numpy as np
from jax.extend.core import ClosedJaxpr
from jaxtyping import Array, Bool, Float, Int

from ..solution import State, Tree
from .primitives import OWN_TANGENTS
from .sparsity import Program
from .unknown import unknown_is

Pattern: TypeAlias = Bool[np.ndarray, "E D"]
"""Mask of the entries (i, j) at which output i may depend on state entry j."""


@dataclass(frozen=True)
class Structure:
    """The shape of Jacobian that a pattern allows: zero, diagonal, equal blocks on permuted coordinates, or dense.

    `blocks` (only for kind "block") lists the groups of coordinates, all of the same size, each in ascending order.
    """

    kind: Literal["zero", "diagonal", "block", "dense"]
    blocks: tuple[tuple[int, ...], ...] | None = None


def dependency_pattern(
    fn: Callable[..., Float[Array, " E"]], state: State | jax.ShapeDtypeStruct, *operands: Tree
) -> Pattern:
    """Return which entries of `fn(state, *operands)` may depend on which entries of the state, for all their values.

    Traces `fn` and follows every intermediate entry through the program: exactly through data movement and products
    with constants that are zero, conservatively elsewhere. Nothing is run. Takes O(D) time and memory for each entry;
    beyond a budget (some 4 million entries in one mask) the answer is "all". Derivative rules of the user's own
    (`jax.custom_jvp`, `jax.custom_vjp`) are followed too, so that the pattern covers the Jacobian which JAX computes.

    Args:
        fn: Map from a state [D] and operands to a vector [E]. Concrete arrays that it closes over count with the zeros
            they have now: what may change from call to call belongs into the operands.
        state: State [D], of which only shape and dtype are used; a tracer will do.
        *operands: Pytrees of further arguments; arrays and numbers count by shape and dtype, other leaves are static.

    Returns:
        Mask [E, D]; False only where entry i cannot depend on state entry j in finite arithmetic.

    Raises:
        ValueError: the state or the result is not a vector.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> dependency_pattern(lambda s: jnp.tanh(s) + s[0], jax.ShapeDtypeStruct((3,), jnp.float32)).astype(int)
        array([[1, 0, 0],
               [1, 1, 0],
               [1, 0, 1]])
    """
    values, static = eqx.partition(operands, _numeric)
    state, values = jax.eval_shape(lambda *tree: tree, state, values)
    _check_vector("state", state)

    def call(state: State, values: Tree) -> Any:
        return fn(state, *eqx.combine(values, static))

    traced, out = jax.make_jaxpr(call, return_shape=True)(state, values)
    _check_vector("fn(state, *operands)", out)
    pattern, custom = _followed(traced)
    if custom and not pattern.all():
        pattern = pattern | _derivative_pattern(call, state, values, len(pattern), custom)
    return pattern


def classify(pattern: Pattern) -> Structure:
    """Return the cheapest structure that holds every Jacobian of a pattern.

    Connected components of the symmetrized pattern are blocks; smaller ones are put together where that makes all
    groups as large as the largest. Components that do not pack that way count as dense.

    Args:
        pattern: Mask [D, D], as `dependency_pattern` returns it for a step.

    Returns:
        The structure, with the groups of coordinates if it is "block".

    Raises:
        ValueError: the pattern is not square.
    """
    linked = _links(pattern)
    if not pattern.any():
        return Structure("zero")
    if not linked.any():
        return Structure("diagonal")
    components = _components(linked)
    blocks = _packed(components, max(map(len, components)))
    return Structure("dense") if len(blocks) == 1 or len(set(map(len, blocks))) > 1 else Structure("block", blocks)


def diagonal_colors(pattern: Pattern) -> Int[np.ndarray, " D"]:
    """Return a coloring of the coordinates under which few Jacobian products give the exact diagonal.

    No two coordinates of one color depend on each other, so that `diag(J)` is the sum over colors c of
    `(J @ 1_c) * 1_c`: one product for each color, one color for a diagonal Jacobian, D for a dense one. Greedy, largest
    degree first.

    Args:
        pattern: Mask [D, D], as `dependency_pattern` returns it for a step.

    Returns:
        Color [D] of each coordinate, counted from 0.

    Raises:
        ValueError: the pattern is not square.

    Source: Welsh and Powell (1967), for the order of the greedy coloring.
    """
    linked = _links(pattern)
    colors = np.full(len(linked), -1)
    for i in np.argsort(-linked.sum(1), kind="stable"):
        taken = np.zeros(len(linked) + 1, bool)
        taken[colors[linked[i]]] = True
        # An uncolored neighbor marks the last place, which no coordinate ever needs.
        colors[i] = np.argmin(taken)
    return colors


def _numeric(leaf: Any) -> bool:
    """Whether a leaf of the operands is followed by shape and dtype alone."""
    return eqx.is_array_like(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)


def _check_vector(name: str, value: Any) -> None:
    """Refuse what is not one vector."""
    if not hasattr(value, "shape") or len(value.shape) != 1:
        raise ValueError(f"{name}: got {value}, expected one array of shape [D]")


def _everything(traced: ClosedJaxpr) -> tuple[Pattern, set[str]]:
    """All may be read."""
    (out,), first = traced.out_avals, traced.in_avals[0]
    return np.ones((*out.shape, *first.shape), bool), set()


@unknown_is(_everything)
def _followed(traced: ClosedJaxpr) -> tuple[Pattern, set[str]]:
    """Pattern of a traced function in its first argument, and the custom derivative rules met on the way."""
    program = Program.of(traced)
    return program.reads_of_first(), program.budget.custom


@unknown_is(lambda fn, state, values, outputs, custom: np.ones((outputs, *state.shape), bool))
def _derivative_pattern(fn: Callable[..., Any], state: Any, values: Tree, outputs: int, custom: set[str]) -> Pattern:
    """Pattern of the Jacobian by the user's own derivative rules, which may read more than the function does.

    Where JAX cannot differentiate the program, nothing is known of its Jacobian.
    """

    def pushforward(tangent: Any, point: Any, values: Tree) -> Any:
        return jax.jvp(lambda s: fn(s, values), (point,), (tangent,))[1]

    def pullback(cotangent: Any, point: Any, values: Tree) -> Any:
        return jax.vjp(lambda s: fn(s, values), point)[1](cotangent)[0]

    if custom <= OWN_TANGENTS:
        return _followed(jax.make_jaxpr(pushforward)(state, state, values))[0]
    out = jax.eval_shape(fn, state, values)
    return _followed(jax.make_jaxpr(pullback)(out, state, values))[0].T


def _links(pattern: Pattern) -> Pattern:
    """Symmetrized pattern without its diagonal."""
    if pattern.ndim != 2 or pattern.shape[0] != pattern.shape[1]:
        raise ValueError(f"pattern: got shape {pattern.shape}, expected a square mask [D, D]")
    linked = pattern | pattern.T
    np.fill_diagonal(linked, False)
    return linked


def _components(linked: Pattern) -> list[list[int]]:
    """Connected components, by their smallest coordinate."""
    components, unseen = [], np.ones(len(linked), bool)
    for seed in range(len(linked)):
        members = np.zeros(len(linked), bool)
        members[seed] = unseen[seed]
        while (reached := members | linked[members].any(0)).sum() > members.sum():
            members = reached
        unseen &= ~members
        if members.any():
            components.append(np.flatnonzero(members).tolist())
    return components


def _packed(components: list[list[int]], size: int) -> tuple[tuple[int, ...], ...]:
    """Groups of at most `size` coordinates made of whole components, largest first into the first group with room."""
    groups: list[list[int]] = []
    for component in sorted(components, key=len, reverse=True):
        group = next((group for group in groups if len(group) + len(component) <= size), None)
        if group is None:
            groups.append(group := [])
        group += component
    return tuple(sorted(tuple(sorted(group)) for group in groups))
