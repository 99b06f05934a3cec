"""The problem that every method solves: a recurrence on flat states, and the scan it came from.

With ``s_t = f_t(s_{t-1})`` for t = 1..T and ``s_0`` fixed, the residual is ``r_t = s_t - f_t(s_{t-1})`` and the merit
``1/2 ||r||^2`` (equations 2 and 3 of the paper); its only zero is the trajectory. Row k of every ``[T, ...]`` array
belongs to step k + 1: row k of ``states`` is ``s_{k+1}``, row k of ``inputs`` drives the step that produces it. This
convention, and the flip of time for ``reverse``, live here and nowhere else.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, Int

from ..programs.closure import Closed, Function, close_over
from ..programs.device_axis import DeviceAxis, one_earlier, one_later
from ..programs.in_portions import in_portions
from ..programs.narrow import comparing_rounded
from ..programs.own_pullbacks import has_own_pullback, without_own_pullbacks
from ..programs.readout import Readout
from ..programs.shapes import row_of
from ..solution import State, Trajectory, Tree
from .carry import CarryLayout
from .discrete_leaves import discrete_leaves, refuse_dependent_leaves
from .dtypes import is_key, weak_as
from .signature import Signature, TracedSignature, shapes_of


class Recurrence(eqx.Module):
    """``s_t = advance(s_{t-1}, inputs_t)`` on flat states, for t = 1..T; devices share out the steps."""

    advance: Callable[[State, Tree], State]
    initial: State
    inputs: Tree
    length: int = eqx.field(static=True)
    devices: DeviceAxis | None = eqx.field(static=True, default=None, kw_only=True)

    @property
    def size(self) -> int:
        """D, the number of entries of a state."""
        return self.initial.shape[0]

    @property
    def dtype(self) -> Any:
        """Dtype of the states."""
        return self.initial.dtype

    @property
    def steps(self) -> int:
        """T, the number of steps over which the merit is a mean."""
        return self.length

    @property
    def entrance(self) -> tuple[Callable[[State, Tree], State], Tree]:
        """The step that reads a state first, and shapes of its inputs: entries that it does not read do not matter."""
        return self.advance, row_of(self.inputs)

    def previous(self, states: Trajectory) -> Trajectory:
        """The state before each step."""
        return one_later(self.initial, states, self.devices)

    def knowing(self, prefix: Int[Array, ""]) -> "Recurrence":
        """The same recurrence, told that its first states are exact and need not be computed again."""
        return self

    def predictions(self, states: Trajectory) -> Trajectory:
        """``f_t(s_{t-1})`` for all t in parallel; equal to ``states`` only at the solution."""

        def visit(part: Recurrence, rows: tuple[Trajectory, ...], _: None) -> Trajectory:
            return jax.vmap(part.advance)(rows[0], part.inputs)

        return self.by_device(visit, (self.previous(states),))

    def by_device(
        self,
        visit: Callable[[Any, tuple[Array, ...], Any], Array],
        rows: tuple[Array, ...],
        shared: Tree = None,
        *,
        axis: int = 0,
    ) -> Array:
        """What a visit to all steps finds, each device visiting its own.

        Args:
            visit: gives an array from the recurrence of some of the steps, their rows, and what all share.
            rows: arrays with leading axis T.
            shared: what every step gets.
            axis: of the result that counts steps.
        """
        devices = self.devices
        if devices is None or not devices.divides(self.length):
            return visit(self, rows, shared)
        arrays, rest = eqx.partition(dataclasses.replace(self, inputs=None), eqx.is_array)
        length = self.length // devices.size

        def part(arrays: Tree, inputs: Tree, rows: tuple[Array, ...], shared: Tree) -> Array:
            whole = eqx.combine(arrays, rest)
            first = jax.lax.axis_index(devices.names) * length
            return visit(whole.part(inputs, first, length), rows, shared)

        same, cut = PartitionSpec(), devices.rows()
        run = devices.over(part, (same, cut, cut, same), devices.rows(axis))
        return run(arrays, self.inputs, rows, shared)

    def part(self, inputs: Tree, first: Int[Array, ""], length: int) -> Self:
        """The recurrence of some of the steps, on one device.

        Args:
            inputs: of these steps.
            first: the first of them.
            length: their number.
        """
        return dataclasses.replace(self, inputs=inputs, length=length, devices=None)

    def pushforward(self, states: Trajectory, vectors: Float[Array, "V D"]) -> Float[Array, "V T D"]:
        """Products of the Jacobians at ``states`` with a few vectors, for all t in parallel."""

        def visit(part: Recurrence, rows: tuple[Trajectory, ...], vectors: Array) -> Array:
            def product(previous: State, inputs: Tree, vector: State) -> State:
                return jax.jvp(lambda s: part.advance(s, inputs), (previous,), (vector,))[1]

            of_steps = jax.vmap(product, in_axes=(0, 0, None))
            return jax.vmap(of_steps, in_axes=(None, None, 0))(rows[0], part.inputs, vectors)

        return self.by_device(visit, (self.previous(states),), vectors, axis=1)

    def predictions_in_portions(self, states: Trajectory) -> Trajectory:
        """``f_t(s_{t-1})`` for all t, in a form whose derivative works within the caches and stores only arguments."""
        return in_portions(self.advance, self.devices)(self.previous(states), self.inputs)

    def trajectory(self, unroll: int = 1) -> Trajectory:
        """The exact states, one step after the other.

        Args:
            unroll: steps in a turn of the loop.
        """

        def one(state: State, x: Tree) -> tuple[State, State]:
            after = self.advance(state, x)
            return after, after

        return jax.lax.scan(one, self.initial, self.inputs, length=self.length, unroll=unroll)[1]

    def residual(self, states: Trajectory) -> Trajectory:
        """``r_t = s_t - f_t(s_{t-1})``."""
        return states - self.predictions(states)

    def merit(self, states: Trajectory) -> Float[Array, ""]:
        """``1/2 ||r||^2``."""
        return 0.5 * jnp.sum(self.residual(states) ** 2)


class FlatStep(Function):
    """A scan's step seen as a map of flat states; the discrete leaves of the carry arrive as inputs."""

    step: Callable[[Tree, Tree], tuple[Tree, Tree]]
    layout: CarryLayout

    def __call__(self, state: State, inputs: tuple[Tree, tuple[Array, ...]]) -> State:
        """The next flat state."""
        x, discrete = inputs
        return self.layout.ravel(self.step(self.layout.unravel(state, discrete), x)[0])[0]


class ScanProblem(eqx.Module):
    """A whole scan: its recurrence, and the way back to carries, outputs and the user's direction of time."""

    recurrence: Recurrence
    step: Closed
    layout: CarryLayout
    final_discrete: tuple[Array, ...]
    reverse: bool = eqx.field(static=True)

    @classmethod
    def of(cls, signature: Signature, *, reverse: bool, devices: DeviceAxis | None = None) -> "ScanProblem":
        """The problem of a checked call.

        Values that the step closes over become leaves of the problem, so that derivatives can reach them.

        Raises:
            ValueError: the carry has no floating leaf, or a discrete leaf of it depends on a floating one.
        """
        return cls.of_traced(traced(signature), reverse=reverse, devices=devices)

    @classmethod
    def of_traced(
        cls, signature: TracedSignature, *, reverse: bool, devices: DeviceAxis | None = None
    ) -> "ScanProblem":
        """The problem of a call whose step is traced.

        Args:
            signature: the call.
            reverse: whether time runs from the last input to the first.
            devices: that the sequence is cut over along time.
        """
        layout, step = signature.layout, signature.step
        before, final = discrete_leaves(signature, reverse=reverse)
        inputs = signature.xs, before
        if reverse:
            inputs = _flip(inputs)
        initial = layout.ravel(signature.init)[0]
        advance = FlatStep(without_own_pullbacks(step), layout)
        recurrence = Recurrence(advance, initial, inputs, signature.length, devices=devices)
        return cls(recurrence, step, layout, final, reverse)

    @property
    def has_own_pullback(self) -> bool:
        """Whether the step has a derivative of the user's own that only reverse mode can take."""
        return has_own_pullback(self.step.closed)

    def outputs(self, states: Trajectory, computed: Tree = None) -> Tree:
        """``y_t`` of every step at the given states, from the carries before and after it.

        Args:
            states: flat states ``[T D]``.
            computed: what the method ``computed`` gave for these states, if anything.
        """
        if computed is None:
            return self.outward(self._read_off(states))
        known, leaves = jax.tree.leaves(self._after(states)), jax.tree.leaves(computed)
        alike = self.step.same_outputs()[len(known) :]
        leaves = [known[first] if first < len(known) else leaf for first, leaf in zip(alike, leaves, strict=True)]
        return self.outward(jax.tree.unflatten(jax.tree.structure(computed), leaves))

    def _read_off(self, states: Trajectory) -> Tree:
        """``y_t`` of every step, in the order of computation: one parallel pass over what follows the new carry."""
        readout = Readout(self.step, len(self.layout.leaves))
        return in_portions(readout, self.recurrence.devices)(self._after(states), *self._arguments(states))

    def computed(self, states: Trajectory) -> Tree:
        """``y_t`` of every step at the given states, all of them, in the order of computation."""
        return in_portions(self.step, self.recurrence.devices)(*self._arguments(states))[1]

    def _arguments(self, states: Trajectory) -> tuple[Tree, Tree]:
        """Carry and inputs of every step."""
        xs, discrete = self.recurrence.inputs
        return jax.vmap(self.layout.unravel)(self.recurrence.previous(states), discrete), xs

    def carry(self, states: Trajectory) -> Tree:
        """The carry after the last step."""
        return self.layout.unravel(states[-1], self.final_discrete)

    def carries(self, states: Trajectory) -> Tree:
        """The carry after every step, with leading axis T."""
        return self.typed(self.outward(self._after(states)), None)[0]

    def typed(self, carry: Tree, ys: Tree) -> tuple[Tree, Tree]:
        """Carry and outputs, weakly typed where the step's are.

        Args:
            carry: of any leading axes.
            ys: outputs, or None.
        """
        kinds = self.step.closed.out_avals[: len(jax.tree.leaves((carry, ys)))]
        return weak_as((carry, ys), kinds)

    def _after(self, states: Trajectory) -> Tree:
        """The carry after every step, in the order of computation."""
        before = self.recurrence.inputs[1]
        devices = self.recurrence.devices
        pairs = zip(before, self.final_discrete, strict=True)
        after = tuple(one_earlier(leaf, last, None if is_key(leaf) else devices) for leaf, last in pairs)
        return jax.vmap(self.layout.unravel)(states, after)

    def flatten(self, carries: Tree) -> Trajectory:
        """Flat states of carries given with leading axis T in the user's direction of time."""
        return jax.vmap(lambda carry: self.layout.ravel(carry)[0])(self.outward(carries))

    def outward(self, tree: Tree) -> Tree:
        """From the order of computation to the user's order of time, or back: leaves have a leading axis T."""
        return _flip(tree) if self.reverse else tree


def _flip(tree: Tree) -> Tree:
    """The tree with its leading axis reversed."""
    return jax.tree.map(lambda leaf: leaf[::-1], tree)


def traced(signature: Signature) -> TracedSignature:
    """The call with its step traced, its arrays as leaves, and comparisons of narrow numbers as they are meant.

    Args:
        signature: the call.

    Raises:
        ValueError: the carry has no floating leaf, or a discrete leaf of it depends on a floating one.
    """
    if signature.layout.size == 0:
        raise ValueError(
            "init: given a carry without floating entries, expected at least one; a parallel method has nothing "
            "to iterate on. Use solver=Sequential()."
        )
    refuse_dependent_leaves(signature, signature.row)
    step = comparing_rounded(close_over(signature.step, shapes_of(signature.init), signature.row))
    return TracedSignature(**{**vars(signature), "step": step})
