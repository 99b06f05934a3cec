"""Beyond the paper: whether momentum, adaptive rates or structure help first-order descent past the threshold.

The paper compares Gauss-Newton with plain gradient descent. Here every optimizer of optax that takes a plain gradient
descends the merit of the same networks, with its best rate of a few, beside Gauss-Newton.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

import parascan as ps

from ...pictures.style import Figure
from ..figures import optimizers_figure
from ..harness.claims import Claim, between
from ..harness.experiment import Experiment, Values
from .over_gains import Networks

if TYPE_CHECKING:
    import xarray

NEWTON = "gauss-newton"
"""Name of the method that the optimizers are compared with."""

LINE_SEARCH = "lbfgs"
"""Name of the optimizer that finds its own rate."""

RATES: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        NEWTON: (1.0,),
        "sgd": (0.1, 0.25, 0.5),
        "momentum": (0.03, 0.1, 0.25),
        "nesterov": (0.03, 0.1, 0.25),
        "adam": (0.01, 0.03, 0.1),
        "nadam": (0.01, 0.03, 0.1),
        "amsgrad": (0.01, 0.03, 0.1),
        "adabelief": (0.01, 0.03, 0.1),
        "rmsprop": (0.003, 0.01, 0.03),
        "adagrad": (0.1, 0.3, 1.0),
        "lion": (0.001, 0.003, 0.01),
        "sm3": (0.03, 0.1, 0.3),
        LINE_SEARCH: (1.0,),
    }
)
"""Rates tried for each optimizer."""

CALM, EDGE = 0.2, 0.01
"""Exponents per step below whose negatives a network forgets fast, and above which it does not forget."""


def optimizer(name: str, rate: float) -> Any:
    """An optimizer of optax.

    Args:
        name: of ``RATES``.
        rate: its learning rate.
    """
    import optax

    makers: Mapping[str, Callable[[], Any]] = {
        "sgd": lambda: optax.sgd(rate),
        "momentum": lambda: optax.sgd(rate, momentum=0.9),
        "nesterov": lambda: optax.sgd(rate, momentum=0.9, nesterov=True),
        "adam": lambda: optax.adam(rate),
        "nadam": lambda: optax.nadam(rate),
        "amsgrad": lambda: optax.amsgrad(rate),
        "adabelief": lambda: optax.adabelief(rate),
        "rmsprop": lambda: optax.rmsprop(rate),
        "adagrad": lambda: optax.adagrad(rate),
        "lion": lambda: optax.lion(rate, weight_decay=0.0),
        "sm3": lambda: optax.sm3(rate),
        LINE_SEARCH: optax.lbfgs,
    }
    return makers[name]()


@dataclass(frozen=True)
class Config:
    """What to run.

    Attributes:
        optimizers: names of ``RATES``.
        gains: number of values of g, from the published least one to beyond the published most.
        seeds: networks for each gain.
        size: units D.
        length: steps T.
        most: updates after which descent is given up.
        tolerance: bound on merit/T, in squared units of the state.
    """

    optimizers: tuple[str, ...]
    gains: int
    seeds: int
    size: int
    length: int
    most: int
    tolerance: float = 1e-4


@dataclass(frozen=True)
class Point:
    """An optimizer with one rate on the networks of one seed; see ``Config``."""

    optimizer: str
    rate: float
    gains: int
    seed: int
    size: int
    length: int
    most: int
    tolerance: float


def points(config: Config) -> Sequence[Point]:
    """One point for each optimizer, rate and seed."""
    rest = (config.size, config.length, config.most, config.tolerance)
    return tuple(
        Point(name, rate, config.gains, seed, *rest)
        for name in config.optimizers
        for rate in RATES[name]
        for seed in range(config.seeds)
    )


def measure(point: Point, folder: Path) -> Values:
    """Updates until the criterion holds, whether it did, and the exponent per step, for every gain."""
    of_system, of_guess = jax.random.split(jax.random.key(point.seed))
    newton = point.optimizer == NEWTON
    solver = ps.deer() if newton else ps.GradientDescent(optimizer(point.optimizer, point.rate))
    networks = Networks(point.size, point.length, point.tolerance, of_system, of_guess)
    return networks.solved(np.linspace(0.5, 3.0, point.gains), solver, point.length if newton else point.most)


def gather(config: Config, values: Sequence[Values]) -> "xarray.Dataset":
    """Labelled arrays by optimizer, seed and gain, each with the rate that needs fewest updates there."""
    import xarray

    shape = (len(config.optimizers), config.seeds, config.gains)
    updates, best = np.full(shape, np.inf), np.full(shape, np.nan)
    exponents = np.full(shape[1:], np.nan)
    for point, each in zip(points(config), values, strict=True):
        place = config.optimizers.index(point.optimizer), point.seed
        taken = np.where(each["solved"], each["updates"], np.inf)
        better = taken < updates[place]
        updates[place], best[place] = np.where(better, taken, updates[place]), np.where(better, point.rate, best[place])
        exponents[point.seed] = each["exponent"]
    dims = ("optimizer", "seed", "gain")
    labels = {
        "optimizer": list(config.optimizers),
        "seed": np.arange(config.seeds),
        "gain": np.linspace(0.5, 3.0, config.gains),
    }
    attributes = {"length": config.length, "most": config.most}
    arrays = {"updates": (dims, updates), "rate": (dims, best), "exponent": (dims[1:], exponents)}
    return xarray.Dataset(arrays, labels, attributes)


def claims(dataset: "xarray.Dataset") -> tuple[Claim, ...]:
    """Descent ends below the threshold, takes more updates than Gauss-Newton, and ends nowhere far beyond it."""
    descent = dataset.sel(optimizer=[name for name in dataset.optimizer.values if name != NEWTON])
    ratio = descent.updates / dataset.updates.sel(optimizer=NEWTON)
    calm, near_zero = dataset.exponent < -CALM, dataset.exponent > -EDGE
    ended = np.isfinite(descent.updates)
    fastest = descent.updates.min("optimizer")
    return (
        between(
            f"networks at exponents below {-CALM} that some rate of an optimizer solves, share", 0.8, 1.0,
            float(ended.where(calm).mean()), published="theory: descent converges", tolerance="at least 0.8",
        ),
        between(
            "updates of the best optimizer over those of Gauss-Newton, least over networks", 1.0, float("inf"),
            float(ratio.min()), published="theory: more than Gauss-Newton",
        ),
        between(
            f"updates of the best optimizer at exponents above {-EDGE} over those below {-CALM}, medians", 3.0,
            float("inf"), float(fastest.where(near_zero).median() / fastest.where(calm).median()),
            published="theory: slow beyond the threshold", tolerance="at least 3",
        ),
    )  # fmt: skip


def figure(dataset: "xarray.Dataset") -> Figure:
    """Updates against the exponent, descent with fixed and momentum rates beside adaptive ones."""
    return optimizers_figure.draw(dataset, NEWTON)


ALL = tuple(RATES)
SIZES = MappingProxyType(
    {
        "smoke": Config((NEWTON, "sgd", LINE_SEARCH), gains=3, seeds=1, size=6, length=32, most=400),
        "desk": Config(ALL, gains=12, seeds=2, size=16, length=128, most=2000),
        "full": Config(ALL, gains=16, seeds=5, size=100, length=1000, most=20_000),
    }
)

EXPERIMENT = Experiment(
    name="optimizers",
    title="Momentum, adaptive rates and curvature pairs do not carry descent past the threshold",
    sizes=SIZES,
    points=points,
    measure=measure,
    gather=gather,
    claims=claims,
    figure=figure,
    note="Not in the paper, which compares plain descent. Of each optimizer the rate with the fewest updates is shown, "
    "network by network; where none ends, it is drawn above the largest number of updates allowed. One rule stops "
    "all of them: merit/T <= 1e-4, as in figure 6. Updates of descent cost one gradient each, those of Gauss-Newton a "
    "linear solve, those of L-BFGS a line search.",
)
