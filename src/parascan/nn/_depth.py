"""``depth``: a stack of alike blocks as a recurrence over its layers, whose inputs are the weights."""

from collections.abc import Callable
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from ..api.options import resolve_options
from ..api.rollout import rollout, scan
from ..diagnostics import diagnose
from ..problem.arguments import as_arrays, as_integer, check_counts
from ..solution import Solution, Tree
from ..solvers import AbstractSolver, Sequential
from ..solvers.criterion import AbstractCriterion, Merit, StateError
from ._depth_bias import Bias, bias_of
from ._depth_forecast import DepthForecast, judged
from ._layer_settings import Settings


class Depth(eqx.Module):
    """A stack of alike blocks; made by ``depth``. Its leaves are those of the weights.

    Attributes:
        weights: of all blocks ``[L, ...]``.
        block: ``(weights, x) -> x``.
        settings: how the layers are evaluated.
    """

    weights: Tree
    block: Callable[[Any, Any], Any] = eqx.field(static=True)
    settings: Settings = eqx.field(static=True)

    @property
    def layers(self) -> int:
        """L, the number of blocks."""
        return next(leaf.shape[0] for leaf in jax.tree.leaves(self.weights) if eqx.is_array(leaf))

    @property
    def solver(self) -> AbstractSolver | None:
        """How the layers are evaluated."""
        return self.settings.values["solver"]

    @property
    def updates(self) -> int | None:
        """The most updates of an evaluation that may stop early; None for one that goes on to its criterion."""
        return self.settings.values["updates"]

    def __call__(self, x: Tree, *, guess: Any = None) -> Tree:
        """The output of the last block.

        Args:
            x: input of the first block, any tree of floating arrays; batches come from ``jax.vmap``, or are an axis of
                ``x`` that the block knows.
            guess: first outputs of all blocks for a solver that iterates, such as the ``Solution`` of an earlier call.

        Raises:
            RolloutError: the solver did not succeed, without ``updates``.
        """
        return scan(*self.recurrence(x), guess=guess, **self._options())[0]

    def rollout(self, x: Tree, *, guess: Any = None) -> Solution:
        """The outputs of all blocks ``[L, ...]`` in ``states``, and how they were found.

        Args:
            x: input of the first block.
            guess: as for a call.
        """
        return rollout(*self.recurrence(x), guess=guess, **self._options())

    def using(self, solver: AbstractSolver | None, *, updates: int | None = None) -> Self:
        """The same weights evaluated by another solver, to its own criterion.

        Args:
            solver: as for ``depth``.
            updates: as for ``depth``.
        """
        return type(self)(self.weights, self.block, _settings(solver, None, updates))

    def forecast(self, x: Tree, *, key: Key[Array, ""]) -> DepthForecast:
        """Whether the layers can be evaluated in parallel for an input, and whether ``updates`` are enough of them.

        Outside of ``jit``. Takes about what ``ps.diagnose`` takes on L steps.

        Args:
            x: input of the first block.
            key: random key of directions.

        Warns:
            BiasWarning: the evaluation stops before the updates that are expected.
        """
        criterion = self.settings.values["criterion"]
        kind = criterion if isinstance(criterion, StateError | Merit) else None
        found = diagnose(*self.recurrence(x), key=key, criterion=kind)
        counted = None
        if self.solver is not None and self.solver.iterates:
            whole = type(self)(self.weights, self.block, _settings(self.solver, criterion, self.layers))
            counted = whole.rollout(as_arrays("x", x))
        return judged(found, counted, self.updates)

    def bias(self, loss: Callable[[Any], Array], *, limit: float = 0.1) -> Bias:
        """How far the gradient of a loss is from that of the exact layers.

        Takes one gradient each way. In a training loop it is worth its price every few hundred steps: near a minimum
        the exact gradient gets small while the error that early stopping leaves in it does not.

        Args:
            loss: of this object, such as ``lambda net: jnp.mean((jax.vmap(net)(xs) - ys) ** 2)``.
            limit: relative error of the gradient from which it warns, positive.

        Raises:
            ValueError: a limit that is not positive.

        Warns:
            BiasWarning: the error is larger than the limit.
        """
        return bias_of(loss, self, self.using(Sequential()), limit)

    def recurrence(self, x: Tree) -> tuple["_Layer", Tree, Tree]:
        """Step, initial state and inputs, as ``ps.diagnose``, ``ps.lyapunov_exponents`` and others take them.

        Args:
            x: input of the first block.
        """
        arrays, rest = eqx.partition(self.weights, eqx.is_array)
        return _Layer(self.block, rest), x, arrays

    def _options(self) -> dict[str, Any]:
        """Arguments of a call."""
        options = {name: self.settings.values[name] for name in ("solver", "criterion")}
        return options if self.updates is None else {**options, "max_iterations": self.updates, "throw": False}


class _Layer(eqx.Module):
    """A block as a step; compared by value, so that a second call finds the program of the first."""

    block: Callable[[Any, Any], Any] = eqx.field(static=True)
    rest: Tree

    def __call__(self, x: Tree, weights: Tree) -> tuple[Tree, None]:
        """The block's output as the next state."""
        return self.block(eqx.combine(weights, self.rest), x), None


def depth(
    block: Callable[[Any, Any], Any],
    stacked_weights: Tree,
    *,
    solver: AbstractSolver | None = None,
    criterion: AbstractCriterion | None = None,
    updates: int | None = None,
) -> Depth:
    """A stack of residual or transformer blocks, whose layers any solver evaluates, with exact gradients.

    The layers are the recurrence ``x_l = block(weights_l, x_{l-1})``. Without a solver they run one after the other, as
    a network of a few hundred layers is too short for chunks. A solver that iterates evaluates all of them side by
    side, as many times as ``forecast`` tells; its gradients are exact as well, found by one linear recurrence.

    With ``updates`` an evaluation stops after so many, whether it has converged or not, and raises nothing. Outputs and
    gradients are then those of other layers than the network's, which biases training; ``bias`` measures by how much.

    Args:
        block: ``(weights, x) -> x``, of the same shapes and dtypes.
        stacked_weights: tree whose arrays have a leading axis L, such as blocks made by ``eqx.filter_vmap``.
        solver: how to evaluate the layers, such as ``ps.deer()``; None for the default of ``ps.scan``.
        criterion: when iterations stop; ``ps.StateError()`` when None. Of a solver that iterates, as is the next one.
        updates: the most updates of an evaluation that may stop early, one or more; None to go on to the criterion.

    Returns:
        A function of x, whose leaves are the weights.

    Raises:
        TypeError: ``block`` is not callable, or ``updates`` is no integer.
        ValueError: weights without arrays, of different length, or with no layer; ``updates`` below one, or without a
            solver that iterates.

    Source: layers of a network as steps in time, Guenther et al. 2020; of transformers, and the bias of inexact
    iterations, Jiang et al. 2026 (arXiv 2601.09026).

    Examples:
        >>> import jax, jax.numpy as jnp, parascan as ps
        >>> block = lambda w, x: x + 0.1 * jnp.tanh(w @ x)
        >>> weights = jax.random.normal(jax.random.key(0), (64, 8, 8)) / 8**0.5
        >>> net = ps.nn.depth(block, weights, solver=ps.deer())
        >>> net(jnp.ones(8)).shape, net.layers
        ((8,), 64)
    """
    if not callable(block):
        raise TypeError(f"block: given {type(block).__name__}, expected a function (weights, x) -> x.")
    weights = jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, stacked_weights)
    arrays = [leaf for leaf in jax.tree.leaves(weights) if eqx.is_array(leaf)]
    lengths = {leaf.shape[0] if np.ndim(leaf) else None for leaf in arrays}
    if len(lengths) != 1 or not next(iter(lengths)):
        given = ", ".join(str(list(leaf.shape)) for leaf in arrays[:4]) or "no array"
        raise ValueError(f"stacked_weights: given {given}, expected arrays with one leading axis L of one or more.")
    return Depth(weights, block, _settings(solver, criterion, updates))


def _settings(solver: AbstractSolver | None, criterion: AbstractCriterion | None, updates: int | None) -> Settings:
    """The settings of a stack, checked as a call would check them."""
    updates = as_integer(updates)
    if updates is not None:
        check_counts(updates=updates)
        if solver is None or not getattr(solver, "iterates", True):
            given = "the default solver" if solver is None else type(solver).__name__
            raise ValueError(f"updates: given {updates} with {given}, expected a solver that iterates, or None.")
    resolve_options(None, solver, criterion, updates, None, None, False, 1, False, None, None, 1)
    return Settings(solver=solver, criterion=criterion, updates=updates)
