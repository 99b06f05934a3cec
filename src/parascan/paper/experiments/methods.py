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

from ...pictures.style import Figure
from ..figures import methods_figure
from ..harness.claims import Claim, between, near
from ..harness.experiment import Experiment, Values
from .over_gains import Networks

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

EXACT = ("newton", "clipped newton", "scale-elk 0.3", "elk", "line search", "hybrid")
"""Methods that use the whole Jacobian."""

FAR, DEEP = 0.05, 0.2
"""Exponents per step from which a network counts as unpredictable, and below whose negative as predictable."""

LEAST_LENGTH = 128
"""T from which a share of T tells fast from slow."""

PATIENCE = 8
"""Updates over T after which a method that is not causal is given up."""


@dataclass(frozen=True)
class Config:
    """What to run.

    Attributes:
        methods: names of ``METHODS``.
        blocks: lengths of the blocks on which Newton's method runs.
        gains: number of values of g.
        seeds: networks for each gain.
        size: units D.
        length: steps T of the methods.
        block_length: steps T of the runs on blocks.
        tolerance: bound on merit/T, in squared units of the state.
    """

    methods: tuple[str, ...]
    blocks: tuple[int, ...]
    gains: int
    seeds: int
    size: int
    length: int
    block_length: int
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
    of_methods = [(method, 1, config.length) for method in config.methods]
    of_blocks = [("newton", block, config.block_length) for block in config.blocks]
    return tuple(
        Point(method, block, config.gains, seed, config.size, length, config.tolerance)
        for method, block, length in of_methods + of_blocks
        for seed in range(config.seeds)
    )


def gains(count: int) -> np.ndarray:
    """Values of g [count], from the published least one to beyond the published most, for exponents well above zero."""
    return np.linspace(0.5, 2.5, count)


def measure(point: Point, folder: Path) -> Values:
    """Updates until the criterion holds, whether it did, and the exponent per step, for every gain."""
    of_system, of_guess, of_method = jax.random.split(jax.random.key(point.seed), 3)
    method = METHODS[point.method](of_method)
    solver = method if point.block == 1 else ps.MultipleShooting(method, point.block)

    # The causal methods need no more than there are blocks; descent has no number that always suffices.
    most = -(-point.length // point.block) if method.causal else PATIENCE * point.length
    networks = Networks(point.size, point.length, point.tolerance, of_system, of_guess)
    return networks.solved(gains(point.gains), solver, most)


def gather(config: Config, values: Sequence[Values]) -> "xarray.Dataset":
    """Labelled arrays by method or length of block, seed and gain."""
    import xarray

    split = len(config.methods) * config.seeds

    def stacked(name: str, part: slice, rows: int) -> np.ndarray:
        return np.stack([each[name] for each in values[part]]).reshape(rows, config.seeds, config.gains)

    of_methods, of_blocks = ("solver", "seed", "gain"), ("block", "seed", "gain")
    kinds = ((of_methods, "", slice(0, split)), (of_blocks, "block_", slice(split, None)))
    rows = {"": len(config.methods), "block_": len(config.blocks)}
    arrays = {
        f"{prefix}{name}": (dims, stacked(name, part, rows[prefix]))
        for dims, prefix, part in kinds
        for name in ("updates", "solved", "exponent")
    }
    labels = {
        "solver": list(config.methods),
        "block": list(config.blocks),
        "seed": np.arange(config.seeds),
        "gain": gains(config.gains),
    }
    attributes = {"length": config.length, "block_length": config.block_length, "tolerance": config.tolerance}
    return xarray.Dataset(arrays, labels, {**attributes, "size": config.size})


def claims(dataset: "xarray.Dataset") -> tuple[Claim, ...]:
    """What theory says of every method and block: fast below zero, linear in T above, never more than T."""
    share = _share(dataset.updates, dataset.exponent, dataset.length)
    exact = [name for name in EXACT if name in dataset.solver.values]
    causal = dataset.updates.sel(solver=[name for name in dataset.solver.values if name != "gradient descent"])
    of_blocks = _share(dataset.block_updates * dataset.block, dataset.block_exponent, dataset.block_length)
    small = "" if dataset.length >= LEAST_LENGTH else f"T = {dataset.length} is too short to tell, and networks are few"
    return (
        between(
            "updates of a causal method over T, largest", 0.0, 1.0, causal.max().item() / dataset.length,
            published="theory: at most 1",
        ),
        between(
            f"updates over T at exponents above {FAR}, median, least over methods", 0.25, float("inf"),
            min(share(name, FAR, np.inf) for name in dataset.solver.values), published="theory: no method is fast",
            tolerance="at least 0.25", explanation=small,
        ),
        between(
            f"updates over T at exponents below {-DEEP}, median, most over methods with the Jacobian", 0.0, 0.15,
            max(share(name, -np.inf, -DEEP) for name in exact), published="theory: fast", tolerance="at most 0.15",
            explanation=small,
        ),
        near(
            "Jacobi's updates over log(1/tolerance of an entry)/|exponent|, median where they are below T/2", 1.0,
            _jacobi(dataset), absolute=0.35, explanation=small,
        ),
        between(
            f"updates over blocks at exponents above {FAR}, median, least over lengths of block", 0.25, 1.2,
            min(of_blocks(block, FAR, np.inf) for block in dataset.block.values), published="theory: no block is fast",
            tolerance="at least 0.25", explanation=small,
        ),
        between(
            f"most by which longer blocks take more updates, medians at exponents below {-DEEP}", -np.inf, 0.5,
            float(np.max(np.diff(_deep_blocks(dataset)), initial=-np.inf)),
            published="theory: none, better conditioned", tolerance="half an update", explanation=small,
        ),
    )  # fmt: skip


def _share(updates: Any, exponents: Any, length: float) -> Callable[[Any, float, float], float]:
    """Median of updates over T of a method or block between two exponents; NaN where there is no network."""

    def median(name: Any, low: float, high: float) -> float:
        along = {updates.dims[0]: name}
        inside = (exponents.sel(along) > low) & (exponents.sel(along) < high)
        return float(updates.sel(along).where(inside).median()) / length

    return median


def _jacobi(dataset: "xarray.Dataset") -> float:
    """How far Jacobi's counts are from the memory horizon of the networks."""
    if "jacobi" not in dataset.solver.values:
        return float("nan")
    jacobi = dataset.sel(solver="jacobi")
    entry = np.sqrt(2 * dataset.tolerance / dataset.size)
    seen = (jacobi.exponent < 0) & (jacobi.updates < dataset.length / 2)
    return float((jacobi.updates * -jacobi.exponent / -np.log(entry)).where(seen).median())


def _deep_blocks(dataset: "xarray.Dataset") -> np.ndarray:
    """Median updates of every length of block on networks that forget fast."""
    deep = dataset.block_exponent < -DEEP
    return dataset.block_updates.where(deep).median(("seed", "gain")).values


def figure(dataset: "xarray.Dataset") -> Figure:
    """Methods with the Jacobian, methods without, and blocks, side by side."""
    return methods_figure.draw(dataset, EXACT)


ALL = tuple(METHODS)
SIZES = MappingProxyType(
    {
        # Few methods, since each compiles for a second or more.
        "smoke": Config(("newton", "jacobi", "gradient descent"), (1, 8), 4, 1, size=8, length=32, block_length=32),
        "desk": Config(ALL, (1, 4, 16, 64), gains=16, seeds=8, size=48, length=128, block_length=256),
        "full": Config(ALL, (1, 2, 4, 8, 16, 32, 64), gains=50, seeds=20, size=100, length=1000, block_length=2000),
    }
)

EXPERIMENT = Experiment(
    name="methods",
    title="The threshold at an exponent of zero holds for every method and every length of block",
    sizes=SIZES,
    points=points,
    measure=measure,
    gather=gather,
    claims=claims,
    figure=figure,
    note="Not in the paper, which shows the threshold for Newton's method. Updates are counted up to the iterate that "
    "meets the criterion, without the published one more. Networks are smaller than the paper's and gains reach "
    "beyond it, so that exponents lie on both sides of zero; descent has 8 T updates, and is drawn there where it "
    "does not end. An orbit may settle at a large gain and have a negative exponent while the states that the iterates "
    "pass through do not: such networks lie above others of their exponent, the more of them the smaller D is. "
    "The weights have a zero diagonal, so quasi-Newton is Jacobi here.",
)
