"""``stream``: sequences too long for memory, or for one solve, a window of steps at a time."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from ..problem.arguments import as_arrays, describe, refuse_traced, resolve_length
from ..problem.signature import Signature, resolve
from ..programs.automatic_axes import without_types
from ..programs.device_axis import automatic_mesh
from ..solution import Result, Solution, StepFunction, Tree
from ..solvers import AbstractSolver
from ..solvers.criterion import AbstractCriterion
from ..solvers.guesses import Given
from .checkpoint import Mark, Seen, fingerprint
from .failure import explain_failure
from .inflow import AbstractSource, Arrays, Chunks, Inflow, leading
from .options import resolve_options
from .rollout import RolloutError, rollout
from .stream_state import StateFile
from .stream_window import Window, on_host

OUTSIDE = "a stream hands out its pieces on the host. Call ps.stream outside of jit, vmap and grad."
"""Why no stream is made of traced values, and what to do."""


class Piece(NamedTuple):
    """Consecutive steps of a stream, on the host.

    Attributes:
        start: steps before the first of these.
        states: the carry after each of them, leaves with a leading axis.
        ys: their outputs, for a step in ``jax.lax.scan``'s form, else None.
        carry: the carry after the last of them.
        iterations: updates that the window took.
    """

    start: int
    states: Tree
    ys: Tree
    carry: Tree
    iterations: int


class Settings(NamedTuple):
    """What stays the same from window to window."""

    step: StepFunction
    window: Window
    iterative: bool
    options: dict[str, Any]
    progress: Callable[[int, int | None], None] | None
    file: StateFile | None


@automatic_mesh()
def stream(
    step: StepFunction,
    init: Tree,
    xs: Tree | Iterator[Tree] = None,
    length: int | None = None,
    *,
    window: int = 4096,
    solver: AbstractSolver | None = None,
    criterion: AbstractCriterion | None = None,
    max_iterations: int | None = None,
    mesh: Mesh | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    state_file: str | Path | None = None,
) -> Iterator[Piece]:
    """The trajectory of a sequence of any length, piece by piece, in memory that does not grow with the length.

    Each window of steps is solved from where the last piece ended. If the solver succeeds, the piece is the whole
    window. If the iterations run out first, the piece is the leading steps that are exact already; the window moves on
    by as many steps, and the states found for the others are its guess. Device memory is that of one rollout of
    ``window`` steps. Runs eagerly: not under ``jit`` or ``vmap``, and nothing can be differentiated.

    Args:
        step: ``(state, x) -> state`` or ``(carry, x) -> (carry, y)``.
        init: initial state, any tree.
        xs: inputs: arrays with leading axis T, such as ``numpy.memmap``, of which a window is read at a time; or an
            iterator of trees of arrays with a leading axis of any length, such as a generator; or None.
        length: T; needed when ``xs`` is None, optional for an iterator.
        window: steps that are solved together, one or more.
        solver: how each window is evaluated, such as ``ps.deer()``; None for the default.
        criterion: when the iterations of a window stop; ``StateError()`` when None.
        max_iterations: most updates of a window before it moves on.
        mesh: devices that every window is cut over along time. They divide ``window``. Where they are those of several
            processes, all of these make the same call, with the same inputs, of which each puts its own part on its
            devices; a piece has the rows of the process that it is handed to.
        progress: called after each piece with the steps done and T (None where not known).
        state_file: a file that keeps the state after each piece that you have taken. A stream that finds the file goes
            on from there with the same bits, however the earlier one ended; the piece that was being worked on is
            handed out again, with the same ``start``. The inputs of the steps that are done are read once more from
            the beginning: the file is refused unless they, ``init`` and the options are the same to the bit. Whether
            ``step`` is the same cannot be checked. Several processes write a file each, ``state_file`` with the
            number of the process at its end, and go on from the last piece that all have; another number of processes
            is refused.

    Returns:
        An iterator of pieces: ``start``, ``states``, ``ys``, ``carry``, ``iterations``, arrays of numpy. Without a step
        to take there is one piece, without rows and with ``init`` as its carry.

    Raises:
        TypeError: an argument of the wrong kind, or traced.
        ValueError: an argument of the wrong shape, length or value, or that the solver has no use for; a state file of
            another stream.
        RolloutError: a window of which no step could be solved; names the step.

    Source: sliding windows over the iterations, Shih et al. 2023 (ParaDiGMS).

    Examples:
        >>> import numpy as np, jax.numpy as jnp, parascan as ps
        >>> pieces = ps.stream(lambda s, x: jnp.tanh(0.5 * s + x), jnp.zeros(2), np.ones((1000, 2)), window=300)
        >>> [len(piece.states) for piece in pieces]
        [300, 300, 300, 100]
    """
    for name, value in (("window", window), ("length", length)):
        if (name == "window" or value is not None) and (isinstance(value, bool) or not isinstance(value, int)):
            raise TypeError(f"{name}: given {value!r}, expected an integer.")
    if window < 1:
        raise ValueError(f"window: given {window}, expected one or more.")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress: given {type(progress).__name__}, expected a callable (done, total) or None.")
    arrays = init if isinstance(xs, Iterator) else (init, xs)
    refuse_traced("init, xs", arrays, OUTSIDE)
    options = resolve_options(None, solver, criterion, max_iterations, None, None, False, 1, False, None, None, 1)
    init, xs = without_types(init), map(without_types, xs) if isinstance(xs, Iterator) else without_types(xs)
    source, row = _source(xs, length)
    fewer = source.total is not None and source.total < window
    place = Window(max(1, source.total or 0) if fewer else window, mesh, fits=fewer)
    sample = jax.tree.map(jnp.asarray, row)
    signature = resolve(step, as_arrays("init", init), sample, None if jax.tree.leaves(row) else 1, scan_form=False)
    refuse_traced("step", signature, OUTSIDE)
    carry, inflow = signature.init, Inflow(source)
    identity = {
        "window": place.steps,
        "total": source.total,
        "solver": repr((solver, criterion, max_iterations)),
        "carry": describe(carry),
        "init": fingerprint(carry),
    }
    file = None if state_file is None else StateFile(Path(state_file), identity, place)
    settings = Settings(
        step,
        place,
        options.solver.iterates,
        {"solver": solver, "criterion": criterion, "max_iterations": max_iterations, "mesh": place.mesh},
        progress,
        file,
    )
    mark = Mark(0, carry, place.repeated(carry))
    if file is not None:
        seen = inflow.seen = Seen()

        def take(mark: Mark, inputs: str | None) -> None:
            _pass_over(inflow, mark.position, seen.digest() if inputs is None else inputs, file.path, place.steps)

        mark = file.load(mark, take)
    if mark.position == 0 and inflow.fill(place.steps) == 0:
        return iter([_empty(signature)])
    return _on_automatic_mesh(_pieces(settings, inflow, mark))


def _pass_over(inflow: Inflow, done: int, inputs: str, path: Path, window: int) -> None:
    """Read past the inputs of the steps that a state file has done, and check that they are the same.

    Raises:
        ValueError: there are fewer inputs, or they are other ones.
    """
    left = done
    while left and (rows := inflow.fill(min(window, left))):
        inflow.drop(rows)
        left -= rows
    if left:
        raise ValueError(f"state_file: {done} steps are done, but xs has fewer.")
    if inflow.seen is not None and inflow.seen.digest() != inputs:
        raise ValueError(
            f"state_file: given {path}, written for other inputs: the first {done} rows of xs are not those that it "
            "was written with. Give these, or remove the file to start anew."
        )


def _empty(signature: Signature) -> Piece:
    """The only piece of a stream without a step, as ``jax.lax.scan`` gives it for no steps."""

    def keep(carry: Tree, x: Tree) -> tuple[Tree, tuple[Tree, Tree]]:
        carry, y = signature.step(carry, x)
        return carry, (carry, y)

    none = jax.tree.map(lambda leaf: leaf[:0], signature.xs)
    carry, (states, ys) = jax.lax.scan(keep, signature.init, none, length=0)
    states, ys, carry = jax.tree.map(on_host, (states, ys, carry))
    return Piece(0, states, ys, carry, 0)


def _source(xs: Any, length: int | None) -> tuple[AbstractSource, Tree]:
    """The source of the rows, and one row or more that shows their shapes."""
    if isinstance(xs, Iterator):
        first = next(xs, None)
        if first is None:
            raise ValueError("xs: given an iterator without a chunk, expected one or more.")
        leading(first)
        return Chunks(itertools.chain([first], xs), length), jax.tree.map(lambda leaf: leaf[:1], first)
    if not all(hasattr(leaf, "shape") for leaf in jax.tree.leaves(xs)):
        raise TypeError(f"xs: given {type(xs).__name__}, expected arrays, an iterator of trees of arrays, or None.")
    return Arrays(xs, resolve_length(xs, length)), jax.tree.map(lambda leaf: leaf[:1], xs)


def _pieces(settings: Settings, inflow: Inflow, mark: Mark) -> Iterator[Piece]:
    """Piece after piece; the state file is written when the next piece is asked for."""
    window = settings.window
    while rows := inflow.fill(window.steps):
        guess = Given(mark.guess) if settings.iterative else None
        inputs = window.inputs(inflow.padded(window.steps))
        length = window.steps if inputs is None else None
        solution = rollout(settings.step, mark.carry, inputs, length, guess=guess, throw=False, **settings.options)
        count = _usable(solution, rows, mark.position)
        carry, guess = window.advanced(solution.states, count)
        states, ys = window.on_host((solution.states, solution.ys), count)
        iterations = int(solution.stats.iterations)
        # What is not needed for the next window is let go before the caller has the piece.
        del solution, inputs
        first = mark.position + min(window.own[0], count)
        yield Piece(first, states, ys, jax.tree.map(on_host, carry), iterations)
        inflow.drop(count)
        mark = Mark(mark.position + count, carry, guess)
        if settings.file is not None:
            settings.file.save(mark, "" if inflow.seen is None else inflow.seen.digest())
        if settings.progress is not None:
            settings.progress(mark.position, inflow.source.total)


def _on_automatic_mesh(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """The same pieces, made with automatic axes whatever mesh is set where they are asked for."""
    while True:
        with automatic_mesh():
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece


def _usable(solution: Solution, rows: int, position: int) -> int:
    """How many steps of a window are solved.

    Raises:
        RolloutError: none is, or the system itself leaves the finite numbers.
    """
    if bool(solution.result == Result.successful):
        return rows
    if bool(solution.result == Result.nonfinite):
        count = rows if int(solution.stats.finite_prefix) >= rows else 0
    else:
        count = min(int(solution.stats.exact_prefix), rows)
    if count == 0:
        raise RolloutError(f"In the window that starts after step {position}: {explain_failure(solution)}", solution)
    return count
