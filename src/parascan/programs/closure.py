"""Functions traced once, as trees whose leaves are the arrays that they close over.

Derivatives can then reach what a user's step closes over, and compiled programs take it as an argument. equinox offers
the same (``filter_closure_convert``) but refuses arguments whose sharding differs from the example's, which happens
under a mesh.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, jaxpr_as_fun
from jax.interpreters.partial_eval import dce_jaxpr
from jaxtyping import Array

from ..solution import Tree
from .device_axis import on_mesh
from .inline import Values, writable, written
from .rebind import Rebinder
from .shapes import shape_like


class Program:
    """A traced function without its arrays; compared by identity, since it is a static part of a tree.

    Attributes:
        jaxpr: what was traced.
        inputs: structure of its arguments that are arrays.
        outputs: structure of its results.
        constants: results that are no arrays.
        known: for each array that the function closes over, its values if they are part of the program, or None if the
            array is a leaf of the tree.
    """

    def __init__(self, jaxpr: Jaxpr, inputs: Any, outputs: Any, constants: Tree, known: list[Values | None]) -> None:
        self.jaxpr = jaxpr
        self.inputs = inputs
        self.outputs = outputs
        self.constants = constants
        self.known = known
        self._facts: dict[str, Any] = {}

    def fact(self, name: str, found: Callable[[], Any]) -> Any:
        """The answer of an analysis of the program, which is made once and kept.

        Args:
            name: of the analysis.
            found: its answer, by the program alone.
        """
        if name not in self._facts:
            self._facts[name] = found()
        return self._facts[name]

    def assembled(self, arrays: list[Any]) -> Any:
        """The function's value from its arrays."""
        return eqx.combine(jax.tree.unflatten(self.outputs, arrays), self.constants)


class Function(eqx.Module):
    """A function that holds arrays; compared by identity, as functions are, since JAX's caches of traces need that."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


class Closed(Function):
    """A traced function: callable with arrays of the example's shapes and dtypes."""

    closed_over: list[Array]
    program: Program = eqx.field(static=True)

    def __call__(self, *args: Any) -> Any:
        """The function's value; arguments that are no arrays have to be those that it was traced with."""
        return self.program.assembled(self.flat(*args))

    def flat(self, *args: Any) -> list[Array]:
        """The arrays of the function's value."""
        results = jaxpr_as_fun(self.closed)(*jax.tree.leaves(eqx.filter(args, eqx.is_array)))
        # A result that is a literal of the program comes back as a number.
        pairs = zip(results, self.program.jaxpr.outvars, strict=True)
        return [each if isinstance(each, jax.Array) else _as_array(each, atom) for each, atom in pairs]

    @property
    def closed(self) -> ClosedJaxpr:
        """The program with its arrays."""
        leaves = iter(self.closed_over)
        return ClosedJaxpr(
            self.program.jaxpr, [next(leaves) if known is None else written(known) for known in self.program.known]
        )

    @property
    def shapes(self) -> Tree:
        """Shapes and dtypes of the function's value."""
        return self.program.assembled([shape_like(atom.aval) for atom in self.program.jaxpr.outvars])

    def takes(self, *args: Any) -> bool:
        """Whether the function has been traced for arguments of these structures, shapes, dtypes and weak types."""
        leaves, structure = jax.tree.flatten(args)
        variables = self.program.jaxpr.invars
        return structure == self.program.inputs and all(map(_alike, leaves, variables))

    def rewritten(self, run: Callable[[ClosedJaxpr, list[Array]], list[Array]]) -> "Closed":
        """The same function with other operations.

        Args:
            run: results of a program for its arguments.
        """
        shapes = [shape_like(atom.aval) for atom in self.program.jaxpr.invars]
        closed = jax.make_jaxpr(lambda *leaves: run(self.closed, list(leaves)))(*shapes)
        arrays, own = list(closed.consts), self.program
        return Closed(arrays, Program(closed.jaxpr, own.inputs, own.outputs, own.constants, [None] * len(arrays)))

    def with_values(self) -> "Closed":
        """The same function with small arrays of known values as constants of the program.

        This is for use inside a compiled program, where nothing differentiates them. XLA then computes with them
        beforehand, as it does for ``jax.lax.scan`` (steps of a GRU of four units take 1.5 times as long without).
        """
        arrays = self.closed.consts
        known = [Values(each) if writable(each) else None for each in arrays]
        leaves = [each for each, value in zip(arrays, known, strict=True) if value is None]
        own = self.program
        return Closed(leaves, Program(own.jaxpr, own.inputs, own.outputs, own.constants, known))

    def unread(self, carried: int, ignored: int) -> list[int]:
        """Those of the carried arguments that reach no other result, however often the function is repeated.

        The carried arguments come first, and come back as the first results. Where there are no other results, it is
        those that no other carried argument reads.

        Args:
            carried: how many leaves these are.
            ignored: how many of the last results do not count.
        """
        jaxpr = self.program.jaxpr
        results = len(jaxpr.outvars)
        wanted = [carried <= index < results - ignored for index in range(results)]
        if not any(wanted):
            of_each = [dce_jaxpr(jaxpr, [index == own for index in range(results)])[1] for own in range(carried)]
            read = [any(of_each[other][own] for other in range(carried) if other != own) for own in range(carried)]
            return [index for index, each in enumerate(read) if not each]
        while True:
            _, used = dce_jaxpr(jaxpr, wanted)
            read = [old or new for old, new in zip(wanted[:carried], used[:carried], strict=True)]
            if read == wanted[:carried]:
                return [index for index, each in enumerate(read) if not each]
            wanted[:carried] = read

    def same_outputs(self, carried: int = 0) -> list[int]:
        """For each result, the index of the first one that is the very same value.

        Args:
            carried: how many of the first results do not count, nor are counted.
        """
        variables = self.program.jaxpr.outvars[carried:]
        return [next(i for i, other in enumerate(variables) if other is variable) for variable in variables]


def close_over(function: Callable[..., Any], *example: Any) -> Closed:
    """The function as a tree whose leaves are the arrays that it closes over, traced once.

    A function that was closed over before, for such arguments, is returned unchanged.

    Args:
        function: what to trace.
        example: its arguments, arrays given by value or as ``ShapeDtypeStruct``.
    """
    if isinstance(function, Closed) and function.takes(*example):
        return function
    arrays, rest = eqx.partition(example, lambda leaf: eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct))
    leaves, treedef = jax.tree.flatten(arrays)
    traced: list[tuple[Any, Tree]] = []

    def flat_of(function: Callable[..., Any], *leaves: Array) -> list[Array]:
        value = function(*eqx.combine(jax.tree.unflatten(treedef, leaves), rest))
        outputs, constants = eqx.partition(value, eqx.is_array)
        outputs, structure = jax.tree.flatten(outputs)
        traced.append((structure, constants))
        return outputs

    closed = jax.make_jaxpr(partial(flat_of, function))(*leaves)
    if any(map(on_mesh, closed.consts)):
        closed = _traced_as_plain(function, flat_of, closed, leaves)
    structure, constants = traced[-1]
    arrays = list(closed.consts)
    return Closed(arrays, Program(closed.jaxpr, treedef, structure, constants, [None] * len(arrays)))


def _traced_as_plain(
    function: Callable[..., Any], flat_of: Callable[..., list[Array]], closed: ClosedJaxpr, leaves: list[Any]
) -> ClosedJaxpr:
    """The program of a function, traced as if what it closes over lay on no mesh.

    The library runs it inside of its own ``jax.shard_map``, where programs that were traced for values on the mesh as a
    whole are refused.

    Args:
        function: what was traced.
        flat_of: the arrays of a function's value.
        closed: its program as it was traced, which is returned where the function cannot be taken apart.
        leaves: arrays of its arguments, or shapes of them.
    """
    own, rest = eqx.partition(Rebinder()(function), eqx.is_array)
    arrays, structure = jax.tree.flatten(own)
    shapes = [shape_like(leaf) if on_mesh(leaf) else leaf for leaf in arrays]
    if not any(map(on_mesh, arrays)):
        return closed

    def run(arrays: list[Any], *leaves: Any) -> list[Array]:
        return flat_of(eqx.combine(jax.tree.unflatten(structure, arrays), rest), *leaves)

    plain = jaxpr_as_fun(jax.make_jaxpr(run)(shapes, *leaves))
    return jax.make_jaxpr(lambda *leaves: plain(*arrays, *leaves))(*leaves)


def _alike(leaf: Any, variable: Any) -> bool:
    """Whether an argument is of the type that a program was traced for."""
    kind = variable.aval
    weak = getattr(leaf, "weak_type", False)
    return (np.shape(leaf), getattr(leaf, "dtype", None), weak) == (kind.shape, kind.dtype, kind.weak_type)


def _as_array(number: Any, atom: Any) -> Array:
    """A number that is written in a program as an array, weakly typed where it was."""
    array = jnp.asarray(number)
    weak = getattr(atom.aval, "weak_type", False) and array.ndim == 0
    written = jnp.asarray(np.asarray(number).item()) if weak else array
    return written if written.dtype == array.dtype else array
