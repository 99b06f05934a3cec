"""A call run in chunks side by side: which calls can be, how their carry is arranged for it, and their derivative."""

import bisect
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
from jax.extend.core import ClosedJaxpr
from jaxtyping import Array

from ..adjoint.axes import batch_first
from ..adjoint.of_call import tangent_of_call
from ..chunked import Grid, Layout, Patience, Way, adjoint_pays, no_blocks, patience_of, scan_blocks
from ..problem.carry import CarryLayout
from ..problem.discrete_leaves import dependent_leaves, discrete_leaves
from ..problem.dtypes import as_bits, from_bits, weak_as
from ..problem.flat_recurrence import traced
from ..problem.plain_derivative import only_step_by_step
from ..problem.signature import Signature, TracedSignature
from ..programs.batching import runs_over_chunks
from ..programs.closure import Closed, Function, close_over
from ..programs.cost import copy_share, kind_of, largest_batch
from ..programs.device_axis import DeviceAxis
from ..programs.kernels import RowKernel, kernel_of
from ..programs.platform import kernels_wanted
from ..programs.shapes import row_of
from ..programs.suitability import unrewarding, unsuited, worth_a_trial
from ..programs.totality import partial_reason
from ..programs.unknown import unknown_is
from ..programs.work import counted
from ..solution import Tree
from .request import Request

if TYPE_CHECKING:
    from .chunked import Chunked

KERNELS = "each stretch of rows is one kernel"
"""What is said of rows that are run by the library's own kernel."""

STILL = Way(None, None, None, None)  # pyright: ignore[reportArgumentType]  # tangents of what has none
"""The tangent of a ``Way``: none, for each of its parts."""


class Outlook(NamedTuple):
    """Whether chunks of a call will be tried.

    Attributes:
        tried: whether they will.
        reason: why, or why not, in a sentence.
    """

    tried: bool
    reason: str


def _not_understood(
    signature: Signature, wanted: "Chunked", batch: int = 1, devices: DeviceAxis | None = None
) -> Outlook:
    """One step after the other, where the analysis of the step failed."""
    return Outlook(False, "its program could not be analyzed")


@unknown_is(_not_understood)
def outlook(signature: Signature, wanted: "Chunked", batch: int = 1, devices: DeviceAxis | None = None) -> Outlook:
    """Whether chunks of a checked call can be tried, or whether it has to run, or is faster, one step after the other.

    Args:
        signature: the call.
        wanted: what is asked for.
        batch: sequences that are known to run at once; a few chunks of each may do where one alone would need many.
        devices: that the sequence is cut over.
    """
    if signature.layout.size == 0:
        return Outlook(False, "its carry has no floating leaf")
    closed = _traced(signature)
    if guilty := dependent_leaves(signature, signature.row):
        return Outlook(
            False,
            f"its discrete carry leaf {guilty} depends on floating leaves: what is decided by rounding once would stay "
            "decided, in this leaf, for all steps after it",
        )
    if reason := unsuited(closed, signature.init, signature.xs, closed.consts):
        return Outlook(False, reason)
    if reason := partial_reason(closed, len(jax.tree.leaves(signature.init))):
        return Outlook(False, reason)
    layout = _layout(signature, wanted, closed, Request(wanted, batch=batch, devices=devices))
    facts = closed, layout.length, layout.size
    if wanted.chunks is None and (reason := unrewarding(*facts, work=layout.work, batch=batch)):
        return Outlook(False, reason)
    if layout.grid(1) is None and layout.grid(batch) is None:
        return Outlook(False, layout.uncut)
    if not runs_over_chunks(closed):
        return Outlook(False, "it holds an operation that cannot be run for several chunks at once")
    return Outlook(True, _why_tried(layout, wanted, batch))


def _why_tried(layout: Layout, wanted: "Chunked", batch: int) -> str:
    """Why chunks are tried of a call that can be cut, or why they are not in a batch of this size."""
    if layout.grid(batch) is None:
        most = bisect.bisect(range(1, batch), False, key=lambda count: layout.grid(count) is None)
        return f"a batch of {batch} is parallel work that is there already: chunks are tried in one of {most} at most"
    if wanted.chunks is not None:
        return f"asked for by chunks={wanted.chunks}"
    return worth_a_trial(layout.length, layout.work, batch=batch)


def why_not(signature: Signature, wanted: "Chunked", batch: int = 1, devices: DeviceAxis | None = None) -> str | None:
    """Why a checked call has to run one step after the other, or is faster so; None where chunks can be tried.

    Args:
        signature: the call.
        wanted: what is asked for.
        batch: sequences that are known to run at once.
        devices: that the sequence is cut over.
    """
    found = outlook(signature, wanted, batch, devices)
    return None if found.tried else found.reason


def decides(signature: Signature) -> bool:
    """Whether a discrete carry leaf of a checked call depends on a floating one, as a counter of events does.

    Chunks would agree on it only by chance, so such a call falls back to the plain loop and is not refused.

    Args:
        signature: the call.
    """
    return bool(signature.layout.size) and bool(dependent_leaves(signature, signature.row))


def why_not_elsewhere(signature: Signature) -> str | None:
    """Why a step must not be run from states off its own trajectory; None where it can be run from any.

    Args:
        signature: the call.
    """
    return partial_reason(_traced(signature), len(jax.tree.leaves(signature.init)))


def _traced(signature: Signature) -> ClosedJaxpr:
    """The traced program of a call's step."""
    return jax.make_jaxpr(signature.step)(signature.init, signature.row)


def evaluate_in_chunks(signature: Signature, wanted: "Chunked", request: Request) -> tuple[Tree, Tree, Way]:
    """Final carry and outputs of a checked call, with derivatives of every order, and which way they came.

    Args:
        signature: the call.
        wanted: what is asked for.
        request: everything else about the call.
    """
    signature = traced(signature)
    layout = _layout(signature, wanted, signature.step.closed, request)
    plain = only_step_by_step(signature.step, signature.layout, kept=signature.kept)
    return _evaluate(signature.with_values(), layout, plain)


def foreseen(signature: Signature, wanted: "Chunked", request: Request) -> tuple[Grid, Patience] | None:
    """How a checked call would be cut, and how long it may take to forget its start; None where it would not be cut.

    Args:
        signature: the call, for which chunks can be tried.
        wanted: what is asked for.
        request: everything else about the call.
    """
    layout = _layout(signature, wanted, _traced(signature), request)
    grid = layout.grid(request.batch)
    return None if grid is None else (grid, patience_of(layout, grid))


def launched_rows(signature: Signature, wanted: "Chunked", request: Request) -> str | None:
    """How an accelerator launches the rows of a checked call that is cut into chunks; None where it does not.

    Args:
        signature: the call, for which chunks can be tried.
        wanted: what is asked for.
        request: everything else about the call.
    """
    found = foreseen(signature, wanted, request)
    if found is None or (grid := found[0]).turn == 1:
        return None
    turns = f"{grid.turn} rows are launched in each turn of a loop"
    if not kernels_wanted():
        return turns
    reasons: list[RowKernel | str] = []

    def look() -> None:
        call = traced(signature)
        step = _ChunkStep(call.step, call.layout)
        inputs = call.xs, discrete_leaves(call, reverse=request.reverse)[0]
        floating, x = call.layout.partition(call.init)[0], row_of(inputs)
        reasons.append(kernel_of(close_over(step, floating, x), floating, x, signature.length * request.batch))

    jax.eval_shape(look)
    return KERNELS if isinstance(reasons[0], RowKernel) else f"{turns}, since there is no kernel for them: {reasons[0]}"


def _layout(signature: Signature, wanted: "Chunked", closed: ClosedJaxpr, request: Request) -> Layout:
    """The fixed facts of a run in chunks: sizes, work of a step, options."""
    length, size = signature.length, signature.layout.size
    leaves = signature.layout.leaves
    # Discrete leaves are known beforehand: no step waits for what follows from them alone.
    work = counted(closed, size, [place for place, leaf in enumerate(leaves) if leaf.continuous])
    facts = work, request.reverse, request.devices, wanted.chunks, request.batch, wanted.trial_steps
    double = signature.layout.dtype.itemsize == 8
    copy = copy_share(closed, work, length, len(leaves))
    told = {"tolerance": float(wanted.tolerance), "visited": wanted.visited}
    return Layout(length, size, *facts, kind_of(work, size), largest_batch(work, size, length), double, copy, **told)


class _ChunkStep(Function):
    """A scan's step on the floating leaves of its carry, with outputs as bits; the discrete leaves arrive as inputs.

    An output that is the same value as one before it is left out: it would be stored twice.
    """

    step: Closed
    layout: CarryLayout

    def __call__(
        self, floating: tuple[Array, ...], inputs: tuple[Tree, tuple[Array, ...]]
    ) -> tuple[Any, dict[int, Array]]:
        """The floating leaves after the step, and its outputs by their place among all."""
        x, discrete = inputs
        carry, y = self.step(self.layout.combine(floating, discrete), x)
        leaves = jax.tree.leaves(y)
        return self.layout.partition(carry)[0], as_bits({place: leaves[place] for place in set(self._places())})

    def outputs(self, stored: dict[int, Array]) -> Tree:
        """The outputs of all steps, from those that are stored."""
        kinds = self.step.closed.out_avals[len(self.layout.leaves) :]
        known = from_bits(stored, [kinds[place].dtype for place in sorted(stored)])
        return jax.tree.unflatten(jax.tree.structure(self.step.shapes[1]), [known[place] for place in self._places()])

    def _places(self) -> list[int]:
        """For each output, the place of the first one that is the very same value."""
        return self.step.same_outputs(len(self.layout.leaves))


@eqx.filter_custom_jvp
def _evaluate(signature: TracedSignature, layout: Layout, plain: bool) -> tuple[Tree, Tree, Way]:
    """Final carry, outputs, and which way they came; ``plain`` where the derivative has to be that of the loop."""
    carried = signature.layout
    before, last = discrete_leaves(signature, reverse=layout.reverse)
    inputs = (signature.xs, before)
    step = _ChunkStep(signature.step, carried)
    floating, stored, way = scan_blocks(step, carried.partition(signature.init)[0], inputs, layout)
    carry = carried.combine(floating, last)
    return *batch_first(weak_as((carry, step.outputs(stored)), signature.step.closed.out_avals)), way


def _one_by_one(signature: TracedSignature, layout: Layout) -> tuple[Tree, Tree]:
    """Final carry and outputs by ``jax.lax.scan``."""
    return jax.lax.scan(signature.step, signature.init, signature.xs, layout.length, reverse=layout.reverse)


@_evaluate.def_jvp
def _evaluate_jvp(primals: tuple[TracedSignature, Layout, bool], tangents: tuple[Any, Any, Any]) -> tuple[Any, Any]:
    """The tangent of the trajectory by one linear recurrence, and what follows from it for carry and outputs.

    Where that does not pay or is not possible, the tangent is JAX's own, of the plain loop.
    """
    signature, layout, plain = primals
    weights = bool(jax.tree.leaves(tangents[0].step))
    pays = layout.chunks is not None or adjoint_pays(layout.size, layout.work, layout.batch, weights=weights)
    if plain or not pays:
        answer, moved = eqx.filter_jvp(lambda each: batch_first(_one_by_one(each, layout)), (signature,), tangents[:1])
        return (*answer, no_blocks()), (*moved, STILL)
    carry, (ys, states), way = _evaluate(signature.keeping_states(), layout, plain)
    known = layout.batch
    options = {"reverse": layout.reverse, "devices": layout.spread, "prepared": True}
    moved = tangent_of_call(signature, tangents[0], states, known, **options)
    return (carry, ys, way), (*moved, STILL)
