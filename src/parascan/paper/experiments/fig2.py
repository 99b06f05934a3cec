"""Figure 2: Newton's steps jump where the largest exponent of a mean-field network crosses zero."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from ...pictures.style import Figure
from ..figures.fig2_figure import draw
from ..harness.claims import Claim, between, check, near, rank_correlation
from ..harness.experiment import Experiment
from .mean_field import BACKENDS, GAINS, LENGTHS, Exponents, Scans, Steps, measure

if TYPE_CHECKING:
    import xarray

RIGHT = 1000
"""T of the right panel."""


@dataclass(frozen=True)
class Config:
    """What to run.

    Attributes:
        seeds: of the networks.
        gains: g.
        ends: lengths T, one of them that of the right panel.
        exponent_length: steps over which exponents are averaged.
        long_seeds: those whose networks below ``long_gain`` are solved over all lengths, the others up to ``right``.
        long_gain: gain below which a long run takes a few hundred updates.
        long_most: updates after which a long run is given up.
        chaotic_seeds: those of which some networks above ``long_gain`` are solved over all lengths, too.
        chaotic_stride: every how many gains.
        scan_length: T at which two ways to solve the linear recurrence are compared, for the largest gain.
        right: T of the right panel.
        tolerance: bound on merit/T.
    """

    seeds: tuple[int, ...] = tuple(range(20))
    gains: tuple[float, ...] = GAINS
    ends: tuple[int, ...] = LENGTHS
    exponent_length: int = 10_000
    long_seeds: tuple[int, ...] = tuple(range(20))
    long_gain: float = 1.25
    long_most: int = 9999
    chaotic_seeds: tuple[int, ...] = tuple(range(20))
    chaotic_stride: int = 1
    scan_length: int = 400
    right: int = RIGHT
    tolerance: float = 1e-10


SIZES = MappingProxyType(
    {
        "smoke": Config(
            seeds=(0, 1), gains=(0.5, 0.8, 1.1, 1.4, 1.7, 2.0), ends=(9, 30, 100, 200), exponent_length=1000,
            long_seeds=(0,), chaotic_seeds=(), right=100,
            scan_length=60,
        ),
        "desk": Config(
            long_seeds=tuple(range(8)), long_most=600, chaotic_seeds=(0,), chaotic_stride=3
        ),
        "full": Config(),
    }
)  # fmt: skip
"""Configurations by name; the paper's has all networks at all lengths."""


def points(config: Config) -> tuple[Exponents | Steps | Scans, ...]:
    """The longest first, so that none is left alone at the end; exponents of all seeds last."""
    short = tuple(end for end in config.ends if end <= config.right)
    calm = tuple(gain for gain in config.gains if gain <= config.long_gain)
    wild = tuple(gain for gain in config.gains if gain > config.long_gain)
    found: list[Exponents | Steps | Scans] = []
    for seed in config.chaotic_seeds:
        found.append(Steps(seed, wild[:: -config.chaotic_stride][::-1], config.ends, config.tolerance))
    for seed in config.long_seeds:
        found.append(Steps(seed, calm, config.ends, config.tolerance, config.long_most))
    found.append(Scans(config.seeds[0], config.gains[-1], config.scan_length, config.tolerance))
    found += [Steps(seed, config.gains, short, config.tolerance) for seed in config.seeds]
    # The text has the guess on [0, 1], the published runs on [-1, 1].
    found.append(Steps(config.seeds[0], config.gains, short, config.tolerance, lowest=0.0))
    found += [Exponents(seed, config.gains, config.exponent_length) for seed in config.seeds]
    return tuple(found)


def gather(config: Config, values: Sequence[Mapping[str, Any]]) -> "xarray.Dataset":
    """Steps by seed, gain and length, NaN where not run and infinite where given up, and exponents."""
    import xarray

    shape = (len(config.seeds), len(config.gains), len(config.ends))
    updates = np.full(shape, np.nan)
    other = np.full(shape[1:], np.nan)
    scan_updates: list[int] = []
    exponent, spread, overflowed = (np.full(shape[:2], np.nan) for _ in range(3))
    for point, found in zip(points(config), values, strict=True):
        if isinstance(point, Scans):
            scan_updates = [found[backend] for backend in BACKENDS]
            continue
        seed = config.seeds.index(point.seed)
        places = [config.gains.index(gain) for gain in point.gains]
        if isinstance(point, Exponents):
            exponent[seed, places], spread[seed, places] = found["exponent"], found["spread"]
            continue
        counts = np.where(found["updates"] < 0, np.inf, found["updates"])
        target = updates[seed] if point.lowest < 0 else other
        target[places, : len(point.ends)] = counts
        if point.lowest < 0 and point.ends[-1] == config.right:
            overflowed[seed, places] = found["overflowed"]
    return xarray.Dataset(
        {
            "updates": (("seed", "gain", "length"), updates),
            "updates_other_guess": (("gain", "length"), other),
            "exponent": (("seed", "gain"), exponent),
            "exponent_spread": (("seed", "gain"), spread),
            "overflowed": (("seed", "gain"), overflowed),
            "scan_updates": ("backend", scan_updates),
        },
        coords={
            "seed": list(config.seeds),
            "gain": list(config.gains),
            "length": list(config.ends),
            "backend": list(BACKENDS),
        },
        attrs={"right": config.right, "scan_length": config.scan_length},
    )


def conditioning(exponent: float, length: int) -> float:
    """``-log mu~``: twice the logarithm of ``(e^(l T) - 1) / (e^l - 1)``, the sum of ``e^(l k)`` over k < T.

    Args:
        exponent: l, in 1/step.
        length: T.

    Source: theorem 2 with a = 1, squared; appendix J.2 of the paper.
    """
    total: Any = logsumexp(exponent * np.arange(length))
    return 2 * float(total)


def theory(exponents: Float[np.ndarray, " G"], lengths: Float[np.ndarray, " K"]) -> Float[np.ndarray, "G K"]:
    """``-log mu~`` of every exponent and length."""
    return np.array([[conditioning(exponent, int(length)) for length in lengths] for exponent in exponents])


def claims(dataset: "xarray.Dataset") -> tuple[Claim, ...]:
    """What the paper reads off the figure."""
    right, length = dataset.sel(length=dataset.right), int(dataset.right)
    exponent, steps = right.exponent.values.ravel(), right.updates.values.ravel() + 1
    order = np.argsort(exponent)
    mean = dataset.exponent.mean("seed").values
    measured = dataset.updates.mean("seed", skipna=True).values
    known = np.isfinite(measured)
    agreement = rank_correlation(theory(mean, dataset.length.values)[known], measured[known])
    calm, wild = steps[exponent < -0.05], steps[exponent > 0.05]
    # Where a running median over as many runs as there are seeds passes a tenth of T.
    window = max(3, dataset.sizes["seed"])
    smooth = np.array([np.median(steps[order][k : k + window]) for k in range(len(order) - window + 1)])
    place = np.flatnonzero(smooth > length / 10)
    threshold = np.median(exponent[order][place[0] : place[0] + window]) if place.size else np.nan
    ratio = right.updates_other_guess / right.updates.isel(seed=0)
    overflows = int(np.nansum(dataset.overflowed.values))
    return (
        check(
            f"steps below exponent -0.05, T = {length}", calm, lambda count: _above(count, length / 20),
            published="a small number, whatever the exponent", tolerance="at most T/20", ours=_range(calm),
        ),
        check(
            f"steps above exponent 0.05, T = {length}", wild, lambda count: _below(count, length / 10),
            published="up to T", tolerance="at least T/10", ours=_range(wild),
        ),
        near("exponent at which the steps pass T/10", 0.0, threshold, absolute=0.05, unit="per step"),
        between(
            "rank correlation of steps and -log mu~ over exponents and lengths", 0.8, 1.0, agreement,
            published="striking concordance", tolerance="at least 0.8",
        ),
        *(_largest(dataset) if length == RIGHT else ()),
        near(f"networks with an overflow, T = {length}", 0, overflows),
        near(
            "steps from the guess on [0, 1] over those from [-1, 1], median", 1.0, ratio.median().item(), absolute=0.1
        ),
    )  # fmt: skip


def _largest(dataset: "xarray.Dataset") -> tuple[Claim]:
    """The steps of the most chaotic networks, beside what the way to solve the linear recurrence makes of them."""
    largest = float(dataset.updates.sel(length=RIGHT).isel(gain=-1).mean()) + 1
    ours, scan = (int(count) for count in dataset.scan_updates.values)
    reason = (
        "The paper solves the linear recurrence by a parallel scan over products of Jacobians, whose rounding an "
        "unpredictable network amplifies; here it is solved step by step. Of one such network at "
        f"T = {dataset.scan_length} the scan takes {scan} updates, step by step it is {ours}. In the published "
        "arithmetic (`--arithmetic published`), below, the claim is met."
    )
    shown = reason if scan > 1.1 * ours else ""
    return (near(f"steps at g = 2, T = {RIGHT}, mean over seeds", RIGHT, largest, relative=0.1, explanation=shown),)


def _above(count: float, bound: float) -> str | None:
    """A count over a bound."""
    return f"{count:g} steps" if not count <= bound else None


def _below(count: float, bound: float) -> str | None:
    """A count under a bound."""
    return f"{count:g} steps" if not count >= bound else None


def _range(counts: np.ndarray) -> str:
    """Least, median and largest count."""
    if not counts.size:
        return "none"
    return f"{counts.min():.0f} to {counts.max():.0f}, median {np.median(counts):.0f}"


def figure(dataset: "xarray.Dataset") -> Figure:
    """Theory, steps over exponent and length, steps against the exponent."""
    return draw(dataset, theory(dataset.exponent.mean("seed").values, dataset.length.values))


EXPERIMENT = Experiment(
    name="fig2",
    title="The threshold: Newton's steps and the conditioning of the merit over exponent and length",
    sizes=SIZES,
    points=points,
    measure=measure,
    gather=gather,
    claims=claims,
    figure=figure,
    note="Steps are updates + 1, as the paper counts. All lengths of a network are counted along one run over the "
    "longest, because Newton's method is causal. The linear solve is the sequential one, exact to rounding and without "
    "a stored Jacobian. In the center, hatched fields were not run at this size and the brightest took more updates "
    "than were allowed.",
)
