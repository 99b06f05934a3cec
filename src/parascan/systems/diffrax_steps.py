"""``from_diffrax``: one step of constant length of a solver of Diffrax, as a step of a recurrence.

An explicit Runge-Kutta method is written out from its tableau, stage by stage. Diffrax runs the stages by a loop of its
own, in which no analysis sees that it ends, and which not every direction of differentiation knows. Other solvers take
Diffrax's own step.
"""

import importlib
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..solution import State, Tree
from ._base import positive, whole_number


class Interval(NamedTuple):
    """What a step takes as its input, as ``DiffraxStep.inputs`` makes it, with a leading axis T for all steps.

    Attributes:
        start: time at which the step begins, scalar.
        stop: time at which it ends, scalar.
        noise: increments over the step, one for each Brownian path of the terms, in their order.
    """

    start: Float[Array, "..."]
    stop: Float[Array, "..."]
    noise: tuple[Tree, ...]


class Remembered(NamedTuple):
    """The carry of a solver whose next step takes more than the last state.

    Attributes:
        state: of the equation.
        memory: of the solver.
    """

    state: Tree
    memory: Tree


class GivenIncrement(eqx.Module):
    """In place of a Brownian path: its increment over one step, drawn beforehand."""

    start: Float[Array, ""]
    stop: Float[Array, ""]
    increment: Tree

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True, use_levy: bool = False) -> Tree:
        """The increment, with its Levy area if it is asked for.

        Args:
            t0: start of the step, this very array.
            t1: end of the step, this very array.
            left: has no meaning for a Brownian path.
            use_levy: whether the areas are wanted too.

        Raises:
            NotImplementedError: another interval is asked for.
        """
        if t0 is not self.start or t1 is not self.stop:
            raise NotImplementedError(
                "solver: given one that asks for noise over a part of a step, or over more than one, "
                "expected one that takes the increment over the step."
            )
        return self.increment if use_levy else getattr(self.increment, "W", self.increment)


class DiffraxStep(eqx.Module):
    """A solver's step of constant length, ``(carry, interval) -> carry``; made by ``from_diffrax``.

    Attributes:
        terms: the equation.
        solver: of Diffrax.
        args: what the vector fields are given.
        dt: length of a step.
        t0: time at which the first step begins.
    """

    terms: Tree
    solver: Any
    args: Tree
    dt: float = eqx.field(static=True)
    t0: float = eqx.field(static=True)

    def init(self, y0: Tree) -> Tree:
        """The first carry: the state, with what the solver remembers beside it where it remembers anything.

        Args:
            y0: the state at ``t0``, a tree of arrays; integers become floating.

        Raises:
            ValueError, TypeError: whatever Diffrax says against this equation, solver and state.
        """
        state = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf, jnp.float16)), y0)
        diffrax = _diffrax()
        ends = self.t0, self.t0 + self.dt
        # Nothing is computed: Diffrax checks whether terms, solver and state fit together. Its usual adjoint refuses
        # paths that this adapter can take.
        solve = lambda: diffrax.diffeqsolve(  # noqa: E731
            self.terms, self.solver, *ends, self.dt, state, self.args, adjoint=diffrax.ForwardMode()
        )
        eqx.filter_eval_shape(solve)
        if _forgets(diffrax, self.solver):
            return state
        first = jax.tree.map(lambda leaf: leaf[0], self.inputs(1))
        memory = self.solver.init(_with_noise(diffrax, self.terms, first), first.start, first.stop, state, self.args)
        return state if not jax.tree.leaves(memory) else Remembered(state, jax.tree.map(jnp.asarray, memory))

    def inputs(self, length: int, dtype: Any = None) -> Interval:
        """The intervals of the first ``length`` steps, and the increments of Brownian paths over them.

        Increments are drawn here, for all steps side by side, and not again by a method that evaluates a step often.
        They are those that the path gives to ``diffrax.diffeqsolve`` for the same times.

        Args:
            length: number of steps T.
            dtype: floating dtype of the times, JAX's default when None.

        Raises:
            TypeError: ``length`` is not an integer.
            ValueError: ``length`` is negative.
        """
        steps = jnp.arange(whole_number("length", length, least=0) + 1)
        kind = jnp.result_type(float) if dtype is None else jnp.dtype(dtype)
        times = jnp.asarray(self.t0, kind) + jnp.asarray(self.dt, kind) * steps.astype(kind)
        start, stop = times[:-1], times[1:]
        paths = _paths(_diffrax(), self.terms)
        draw = lambda low, high: tuple(path.evaluate(low, high, use_levy=True) for path in paths)  # noqa: E731
        return Interval(start, stop, jax.vmap(draw)(start, stop))

    def __call__(self, carry: Tree, x: Interval) -> Tree:
        """The carry one step later."""
        diffrax = _diffrax()
        terms = _with_noise(diffrax, self.terms, x)
        state, memory = carry if isinstance(carry, Remembered) else (carry, None)
        if _is_written_out(diffrax, self.solver):
            return _like(_explicit(self.solver.tableau, terms, x, state, self.args), state)
        if memory is None:
            memory = self.solver.init(terms, x.start, x.stop, state, self.args)
        after, _, _, later, result = self.solver.step(terms, x.start, x.stop, state, self.args, memory, False)
        if result is not diffrax.RESULTS.successful:
            fine = diffrax.is_okay(result)
            after = jax.tree.map(lambda leaf: jnp.where(fine, leaf, jnp.nan), after)
        after = _like(after, state)
        return Remembered(after, _like(later, memory)) if isinstance(carry, Remembered) else after


def from_diffrax(terms: Tree, solver: Any, dt: float, *, t0: float = 0.0, args: Tree = None) -> DiffraxStep:
    """A step of constant length of a solver of Diffrax, for ``ps.scan``, ``ps.rollout`` and everything else here.

    ``step.inputs(T)`` are its inputs and ``step.init(y0)`` is its first carry: ``ps.rollout(step, step.init(y0),
    step.inputs(T))`` gives the states of ``diffrax.diffeqsolve`` at ``t0 + dt, t0 + 2 dt, ...``, up to rounding, and
    ``ps.deer()`` with it is Newton's method along time.

    - Explicit Runge-Kutta methods (Euler, Heun, Tsit5, Dopri8 and others) are written out from their tableau.
    - What a method only keeps in order not to compute it again (the last stage of Tsit5, first of the next step) is
      computed again, so that the carry is the state. An explicit method needs no last stage then, and takes as many
      evaluations of the vector field; an implicit one takes one more.
    - What a method does need (``ReversibleHeun``, ``LeapfrogMidpoint``) is part of the carry, a ``Remembered``.
    - Noise is given: ``inputs`` evaluates the Brownian paths of the terms. Increments of your own go into
      ``Interval.noise``. A solver that asks for noise over other intervals is refused.
    - ``HalfSolver`` is refused: what it adds is an estimate of the error, for steps of changing length.
    - A step of an implicit method that does not converge gives NaN, so that the rollout says where. Its tolerances have
      to be given, as Diffrax says.

    Args:
        terms: one term of Diffrax, or a tree of terms where the solver takes one.
        solver: of Diffrax, such as ``diffrax.Tsit5()``.
        dt: length of a step, in the equation's unit of time.
        t0: time at which the first step begins.
        args: what the vector fields are given as their third argument; arrays in it can be differentiated.

    Returns:
        The step, ``(carry, interval) -> carry``.

    Raises:
        ImportError: Diffrax is not installed.
        TypeError: ``terms`` or ``solver`` is not one of Diffrax, or the solver is a ``HalfSolver``.
        ValueError: ``dt`` is not positive.

    Source: Kidger 2021 (Diffrax); Iacob, Razavi and Sarkka 2025 for Newton's method along the time of an equation.

    Examples:
        >>> import diffrax, jax.numpy as jnp, parascan as ps
        >>> decay = diffrax.ODETerm(lambda t, y, args: -y)
        >>> step = ps.systems.from_diffrax(decay, diffrax.Euler(), 0.5)
        >>> ps.rollout(step, step.init(jnp.ones(1)), step.inputs(3)).states[:, 0]
        Array([0.5  , 0.25 , 0.125], dtype=float32)
    """
    diffrax = _diffrax()
    is_term = lambda leaf: isinstance(leaf, diffrax.AbstractTerm)  # noqa: E731
    leaves = jax.tree.leaves(terms, is_leaf=is_term)
    if not leaves or not all(map(is_term, leaves)):
        raise TypeError(f"terms: given {type(terms).__name__}, expected a term such as diffrax.ODETerm(f).")
    if not isinstance(solver, diffrax.AbstractSolver):
        raise TypeError(f"solver: given {type(solver).__name__}, expected one of Diffrax, such as diffrax.Tsit5().")
    if isinstance(solver, diffrax.AbstractWrappedSolver):
        raise TypeError(
            f"solver: given {type(solver).__name__}, which estimates errors for steps of changing length, "
            "expected the solver within it."
        )
    return DiffraxStep(terms, _differentiable(diffrax, solver), args, positive("dt", dt), float(t0))


def _diffrax() -> Any:
    """Diffrax.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return importlib.import_module("diffrax")
    except ImportError as error:
        raise ImportError(
            "Diffrax is not installed, and from_diffrax needs it: pip install '.[diffrax]' in a clone of parascan"
        ) from error


def _differentiable(diffrax: Any, solver: Any) -> Any:
    """The solver, whose loop over stages JAX can differentiate in both directions."""
    if getattr(solver, "scan_kind", "none") is not None:
        return solver
    kind = "lax" if isinstance(solver, diffrax.AbstractSRK) else "bounded"
    return eqx.tree_at(lambda each: each.scan_kind, solver, kind, is_leaf=lambda leaf: leaf is None)


def _is_written_out(diffrax: Any, solver: Any) -> bool:
    """Whether the solver is an explicit Runge-Kutta method that takes Diffrax's own step."""
    return isinstance(solver, diffrax.AbstractERK) and type(solver).step is diffrax.AbstractERK.step


def _forgets(diffrax: Any, solver: Any) -> bool:
    """Whether all that the solver keeps from a step is a function of the state."""
    return isinstance(solver, diffrax.AbstractRungeKutta | diffrax.AbstractFosterLangevinSRK)


def _paths(diffrax: Any, terms: Tree) -> list[Any]:
    """The Brownian paths of the terms."""
    is_path = lambda leaf: isinstance(leaf, diffrax.AbstractBrownianPath)  # noqa: E731
    return [leaf for leaf in jax.tree.leaves(terms, is_leaf=is_path) if is_path(leaf)]


def _with_noise(diffrax: Any, terms: Tree, x: Interval) -> Tree:
    """The terms, with the increments of an interval in place of their Brownian paths.

    Raises:
        ValueError: another number of increments than of paths.
    """
    wanted = len(_paths(diffrax, terms))
    if len(x.noise) != wanted:
        raise ValueError(f"noise: given {len(x.noise)} increments, expected {wanted}, one for each Brownian path.")
    given = iter(x.noise)

    def replaced(leaf: Any) -> Any:
        if isinstance(leaf, diffrax.AbstractBrownianPath):
            return GivenIncrement(x.start, x.stop, next(given))
        return leaf

    return jax.tree.map(replaced, terms, is_leaf=lambda leaf: isinstance(leaf, diffrax.AbstractBrownianPath))


def _explicit(tableau: Any, terms: Any, x: Interval, state: State, args: Tree) -> State:
    """A step of an explicit Runge-Kutta method, from its tableau."""
    control = terms.contr(x.start, x.stop)

    def moved(weights: Any, slopes: list[State]) -> State:
        total = state
        for weight, slope in zip(weights, slopes, strict=True):
            if weight:
                total = jax.tree.map(lambda y, k, a=float(weight): y + a * k, total, slope)
        return total

    def slope(node: float, at: State) -> State:
        time = x.stop if node == 1 else x.start + node * (x.stop - x.start)
        return terms.vf_prod(time, at, args, control)

    slopes = [slope(float(tableau.c1), state)]
    for node, weights in zip(tableau.c, tableau.a_lower, strict=True):
        at = moved(weights, slopes)
        slopes.append(slope(float(node), at))
    return moved(tableau.b_sol, slopes)


def _like(tree: Tree, other: Tree) -> Tree:
    """The tree in the dtypes of another one, which a carry has to keep."""
    return jax.tree.map(lambda leaf, kept: jnp.asarray(leaf, jnp.result_type(kept)), tree, other)
