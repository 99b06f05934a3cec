"""``explain``: which way a call will take and why, before anything of it is run."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
from jax.sharding import Mesh

from ..adjoint.implicit import AbstractAdjoint
from ..chunked import TRIAL_SHARE
from ..planning import Plan
from ..problem.arguments import as_arrays, check_counts
from ..problem.flat_recurrence import ScanProblem
from ..problem.signature import Signature, resolve
from ..solution import StepFunction, Tree
from ..solvers import AbstractDirectSolver, AbstractSolver, AbstractTrajectorySolver, Chunked
from ..solvers.chunked_call import foreseen, launched_rows
from ..solvers.criterion import AbstractCriterion
from ..solvers.memory import on_each_device, readable
from ..solvers.request import Request
from .options import resolve_options, solver_for, words_of


class Explanation(eqx.Module):
    """Which way a call will take; printed, a few lines that say so.

    Attributes:
        way: ``"chunks"``, ``"one step after the other"`` or ``"iterations"``.
        reason: why, in a sentence.
        solver: what will run.
        length: T, steps.
        size: D, floating entries of the carry.
        batch: sequences at once.
        chunks: of each sequence, over all devices; 0 without.
        steps_per_chunk: steps of a chunk; 0 without.
        remaining: steps left over by the chunks, taken one after the other.
        longest_warm_up: most steps of the warm-up; chunks that have not forgotten their starts by then are given up.
        trial_steps: steps after which chunks are given up that are not yet on their way to forget their starts.
        trial_share: most that such a trial in vain adds, as a part of the sequential time.
        launches: how an accelerator launches the rows of chunks, and why; None on a CPU.
        method: name of the iterative method, else None.
        criterion: its stopping rule in words, else None.
        budget: the most iterations; 0 without.
        memory: bytes held at the peak beside the inputs, as estimated, by one sequence; of ``scan`` where a step has
            outputs, to which ``rollout`` adds the states.
    """

    way: str = eqx.field(static=True)
    reason: str = eqx.field(static=True)
    solver: AbstractSolver
    length: int = eqx.field(static=True)
    size: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    chunks: int = eqx.field(static=True, default=0)
    steps_per_chunk: int = eqx.field(static=True, default=0)
    remaining: int = eqx.field(static=True, default=0)
    longest_warm_up: int = eqx.field(static=True, default=0)
    trial_steps: int = eqx.field(static=True, default=0)
    trial_share: float = eqx.field(static=True, default=0.0)
    launches: str | None = eqx.field(static=True, default=None)
    method: str | None = eqx.field(static=True, default=None)
    criterion: str | None = eqx.field(static=True, default=None)
    budget: int = eqx.field(static=True, default=0)
    memory: int = eqx.field(static=True, default=0)

    def lines(self) -> list[str]:
        """The report, line by line."""
        batch = "" if self.batch == 1 else f", {self.batch} sequences at once"
        found = [f"{self.way} (T = {self.length}, D = {self.size}{batch})", f"  why: {self.reason}"]
        if self.way == CHUNKS:
            rest = f", and the last {self.remaining} one by one" if self.remaining else ""
            found.append(f"  {self.chunks} chunks of {self.steps_per_chunk} steps side by side{rest}")
            found.append(
                f"  warm-up: {self.longest_warm_up} steps at most; given up after {self.trial_steps}, about "
                f"{self.trial_share:.2g} of the sequential time, unless the chunks are on their way to meet"
            )
            if self.launches:
                found.append(f"  on the device: {self.launches}")
            found.append("  given up, the steps are taken one after the other; solution.stats says how it came out")
        if self.way == ITERATIONS:
            found.append(f"  {self.method}: until {self.criterion}, at most {self.budget} iterations")
        found.append(f"  memory: about {readable(self.memory)} beside the inputs")
        return found

    def __str__(self) -> str:
        return "\n".join(self.lines())


CHUNKS, PLAIN, ITERATIONS = "chunks", "one step after the other", "iterations"


def explain(
    f: StepFunction,
    init: Tree,
    xs: Tree = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
    *,
    solver: AbstractSolver | Plan | None = None,
    criterion: AbstractCriterion | None = None,
    max_iterations: int | None = None,
    guess: Any = None,
    adjoint: AbstractAdjoint | None = None,
    mesh: Mesh | None = None,
    memory_limit: int | None = None,
    batch: int = 1,
) -> Explanation:
    """Which way ``scan`` or ``rollout`` will take with these arguments, and why; the step is traced, nothing is run.

    The default tries chunks and accepts them only where they agree. This function says whether they will be tried;
    ``solution.stats`` says afterwards what came of it. To compare ways by their time, use ``ps.plan``.

    Args:
        f: the step, as ``scan`` or ``rollout`` takes it.
        init: initial carry of one sequence.
        xs: inputs of one sequence, each leaf with leading axis T, or None.
        length: T; needed when ``xs`` is None.
        reverse: whether the call runs from the last input to the first.
        unroll: steps per loop turn of the sequential solver, as for ``scan``.
        solver: how to evaluate, such as ``ps.deer()``, or a plan; None for the default.
        criterion: when iterations stop, of a solver that iterates.
        max_iterations: most updates, of a solver that iterates.
        guess: first trajectory, of a solver that iterates.
        adjoint: how derivatives are taken.
        mesh: devices that the call is cut over along time.
        memory_limit: most bytes that the call may hold beside its inputs.
        batch: sequences that ``jax.vmap`` will run at once, one or more.

    Returns:
        An ``Explanation``; ``print`` it.

    Raises:
        TypeError: an argument of the wrong kind.
        ValueError: an argument that the call itself would refuse.

    Examples:
        >>> import jax.numpy as jnp, parascan as ps
        >>> explanation = ps.explain(lambda s, x: jnp.tanh(0.5 * s + x), jnp.zeros(3), jnp.ones((100, 3)))
        >>> print(explanation)
        one step after the other (T = 100, D = 3)
          why: its steps are few and small: 100 of 15 ns take 0.0015 ms, chunks begin to pay at 0.6 ms
          memory: about 1.21 kB beside the inputs
    """
    check_counts(batch=batch)
    numbers = (max_iterations, guess, adjoint, reverse, unroll, False, mesh, memory_limit, int(batch))
    request = resolve_options(length, solver, criterion, *numbers, xs=xs)
    signature = resolve(f, as_arrays("init", init), as_arrays("xs", xs), length, scan_form=False)
    chosen, reason = solver_for(signature, request)
    if isinstance(solver, Plan) and signature.length:
        reason = words_of(solver)
    if isinstance(chosen, AbstractTrajectorySolver):
        return _of_iterations(signature, request, chosen, reason)
    memory = _room(signature, chosen, request) if isinstance(chosen, AbstractDirectSolver) else 0
    known: dict[str, Any] = {"length": signature.length, "size": signature.layout.size, "batch": request.batch}
    found = foreseen(signature, chosen, request) if isinstance(chosen, Chunked) else None
    if found is None or not isinstance(chosen, Chunked):
        return Explanation(PLAIN, reason, chosen, memory=memory, **known)
    grid, patience = found
    usual = foreseen(signature, dataclasses.replace(chosen, trial_steps=None), request)
    share = TRIAL_SHARE * patience.trial / usual[1].trial if usual else TRIAL_SHARE
    return Explanation(
        CHUNKS,
        reason,
        chosen,
        chunks=grid.chunks * grid.devices,
        steps_per_chunk=grid.block,
        remaining=grid.rest,
        longest_warm_up=patience.most,
        trial_steps=min(patience.trial, patience.most),
        trial_share=share,
        launches=launched_rows(signature, chosen, request),
        memory=memory,
        **known,
    )


def _room(signature: Signature, solver: AbstractDirectSolver, request: Request) -> int:
    """Bytes, on each device, of the outputs that ``scan`` returns, or of the states where the step has no outputs."""
    with_outputs = jax.tree.leaves(signature.shapes_of_step()[1])
    shared = solver.sharing(signature, request)
    return solver.peak_bytes(signature if with_outputs else signature.keeping_states(), shared)


def _of_iterations(
    signature: Signature, request: Request, solver: AbstractTrajectorySolver, reason: str
) -> Explanation:
    """The explanation of a call by a method that iterates; only shapes are computed with."""
    found: list[tuple[int, int]] = []

    def measure(init: Tree, xs: Tree) -> None:
        call = dataclasses.replace(signature, init=init, xs=xs)
        problem = ScanProblem.of(call, reverse=request.reverse, devices=request.devices).recurrence
        memory = on_each_device(solver.peak_bytes(problem), problem, solver.method)
        found.append((solver.most_updates(problem, request), memory))

    jax.eval_shape(measure, signature.init, signature.xs)
    budget, memory = found[-1]
    length, size, batch = signature.length, signature.layout.size, request.batch
    words = str(request.criterion).replace("\n", "").replace(" ", "").replace(",", ", ")
    known = Explanation(ITERATIONS, reason, solver, length, size, batch, budget=budget, memory=memory)
    return dataclasses.replace(known, method=solver.described, criterion=words)
