"""Beyond the paper: where every method of the library, and every length of block, stops paying.

Left, updates of each method on the mean-field network against the largest exponent. Right, those of Newton's method on
blocks, in parts of the number of blocks. The paper shows the threshold at an exponent of zero for Newton's method.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

import parascan as ps

from ..plot import Figure
from . import _methods_figure
from ._claims import Claim
from ._experiment import Experiment, Values

if TYPE_CHECKING:
    import xarray


METHODS: Mapping[str, Callable[[jax.Array], Any]] = MappingProxyType(
    {
        "newton": lambda key: ps.deer(),
        "quasi-newton": lambda key: ps.quasi_deer(),
        "random diagonal": lambda key: ps.Newton(ps.StochasticDiagonal(key)),
        "picard": lambda key: ps.picard(),
        "jacobi": lambda key: ps.jacobi(),
        "scale-elk 0.3": lambda key: ps.scale_elk(0.3),
        "clipped newton": lambda key: ps.Newton(ps.Full(), clip=1.0),
        "elk": lambda key: ps.elk(),
        "quasi-elk": lambda key: ps.quasi_elk(),
        "line search": lambda key: ps.LineSearch(ps.deer()),
        "hybrid": lambda key: ps.Hybrid(ps.GradientDescent(), ps.deer()),
        "gradient descent": lambda key: ps.GradientDescent(),
    }
)
"""Every method, from the key of its draws."""


@dataclass(frozen=True)
class Config:
    """What to run.

    Attributes:
        methods: names of ``METHODS``.
        blocks: lengths of the blocks on which Newton's method runs.
        gains: values of g, evenly spread over the published range.
        seeds: networks for each gain.
        size: units D.
        length: steps T.
        tolerance: bound on merit/T, in squared units of the state.
    """

    methods: tuple[str, ...]
    blocks: tuple[int, ...]
    gains: int
    seeds: int
    size: int
    length: int
    tolerance: float = 1e-10


@dataclass(frozen=True)
class Point:
    """A method or a length of block on the networks of one seed, all gains at once; see ``Config``."""

    method: str
    block: int
    gains: int
    seed: int
    size: int
    length: int
    tolerance: float


def points(config: Config) -> Sequence[Point]:
    """One point for each method and seed, and for each length of block and seed."""
    chosen = [(method, 1) for method in config.methods] + [("newton", block) for block in config.blocks if block > 1]
    rest = (config.size, config.length, config.tolerance)
    return tuple(
        Point(method, block, config.gains, seed, *rest) for method, block in chosen for seed in range(config.seeds)
    )


def gains(count: int) -> np.ndarray:
    """Values of g [count], as published."""
    return np.linspace(0.5, 2.0, count)


def measure(point: Point, folder: Path) -> Values:
    """Updates until the criterion holds, whether it did, and the exponent per step, for every gain."""
    of_system, of_guess, of_method = jax.random.split(jax.random.key(point.seed), 3)
    method = METHODS[point.method](of_method)
    solver = method if point.block == 1 else ps.Blocks(method, point.block)

    updates, solved, exponents = [], [], []
    # One after the other: a batch would go on until the last network is done, and most are done soon.
    for gain in gains(point.gains):
        system = ps.systems.tanh_rnn(gain=float(gain), size=point.size, key=of_system)
        call = (system.step, system.initial_state, system.inputs(point.length))
        solution = ps.rollout(
            *call,
            solver=solver,
            criterion=ps.Merit(point.tolerance),
            guess=ps.guesses.Uniform(of_guess, -1.0, 1.0),
            # Descent has no T that always suffices; it is cut where the causal methods are.
            max_iterations=-(-point.length // point.block),
            throw=False,
        )
        updates.append(int(solution.stats.iterations))
        solved.append(bool(solution.result == ps.Result.successful))
        exponents.append(_exponent(system, point, of_guess))
    return {"updates": np.array(updates), "solved": np.array(solved), "exponent": np.array(exponents)}


def _exponent(system: ps.systems.System, point: Point, key: jax.Array) -> float:
    """Exponent per step over the same steps, after the first tenth."""
    call = (system.step, system.initial_state, system.inputs(point.length))
    return float(ps.lyapunov_exponents(*call, key=key, warm_up=point.length // 10, lanes=1).per_step)
