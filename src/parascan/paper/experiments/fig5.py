"""Figure 5: a merit of numerically zero, and a trajectory that is not the true one; our certificate knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

import parascan as ps

from ...pictures import style
from ...pictures.style import Figure
from ..harness.claims import Claim, between, check
from ..harness.experiment import Experiment
from .mean_field import UNITS, network_of
from .mean_field_newton import newton_steps

if TYPE_CHECKING:
    import xarray

PARTED = 0.1
"""Mean absolute deviation from which on two trajectories count as different ones, where the states are of order 1."""


@dataclass(frozen=True)
class Config:
    """What to run, and its only point.

    Attributes:
        seed: of the network and of the guess.
        gain: g.
        length: T, and the number of updates.
        tolerance: error up to which the certificate is asked to vouch, in units of the state.
    """

    seed: int = 0
    gain: float = 1.85
    length: int = 1000
    tolerance: float = 1e-2


SIZES = MappingProxyType({"smoke": Config(length=450), "desk": Config(), "full": Config()})
"""Configurations by name; a desk can do the paper's."""


def points(config: Config) -> tuple[Config, ...]:
    """The configuration itself."""
    return (config,)


def measure(point: Config, folder: Path) -> Mapping[str, Any]:
    """Newton after T updates, the sequential trajectory, the certificate of the former, and the exponent.

    Args:
        point: what to measure.
        folder: not needed.
    """
    network = network_of(point.seed, point.length)
    ends = np.array([point.length])
    # A tolerance that no iterate meets but one without any residual: T updates, as in the paper.
    work = newton_steps(network, np.array([point.gain]), ends, 0.0, point.length)
    states = work.at.states[: point.length, 0]
    system = ps.systems.tanh_rnn(gain=point.gain, size=UNITS, key=jax.random.key(point.seed))
    call = (system.step, system.initial_state, system.inputs(point.length))
    sequential = ps.rollout(*call, solver=ps.Sequential()).states
    certificate = ps.certify(*call, states, tolerance=point.tolerance)
    estimate = ps.lyapunov_exponents(*call, key=jax.random.key(point.seed), warm_up=0)
    return {
        "deviation": np.abs(np.asarray(states - sequential)).mean(axis=1),
        "distance": np.linalg.norm(np.asarray(states - sequential), axis=1),
        "bound": np.asarray(certificate.bound),
        "horizon": int(certificate.horizon),
        "first": np.asarray(states[:, 0]),
        "first_sequential": np.asarray(sequential[:, 0]),
        "merit": float(np.asarray(work.at.squares)[: point.length, 0].sum() / point.length),
        "exponent": float(estimate.per_step),
    }


def gather(config: Config, values: Sequence[Mapping[str, Any]]) -> "xarray.Dataset":
    """Everything by step."""
    import xarray

    (found,) = values
    columns = {name: ("step", value) if np.ndim(value) else value for name, value in found.items()}
    return xarray.Dataset(columns, coords={"step": np.arange(1, config.length + 1)}, attrs={"gain": config.gain})


def claims(dataset: "xarray.Dataset") -> tuple[Claim, ...]:
    """What the paper reads off the figure, and what our certificate says about it."""
    deviation, step = dataset.deviation.values, dataset.step.values
    parted = np.flatnonzero(deviation > PARTED)
    place = float(step[parted[0]]) if parted.size else np.nan
    growing = (deviation > 1e-14) & (deviation < 1e-2) & (step < place)
    rate = np.polyfit(step[growing], np.log(deviation[growing]), 1)[0] if growing.sum() > 2 else np.nan
    exponent = dataset.exponent.item()
    broken = [
        int(t)
        for t, true, bound in zip(step, dataset.distance.values, dataset.bound.values, strict=True)
        if true > bound
    ]
    return (
        between(
            "merit/T after T updates", 0.0, 1e-20, dataset.merit.item(), published="numerically zero",
            tolerance="at most 1e-20",
        ),
        between("step at which the trajectories part", 200, 450, place, published="around 300", tolerance="200 to 450"),
        between(
            "growth of the deviation over the exponent", 0.7, 1.3, rate / exponent, published="exponential",
            tolerance="0.7 to 1.3",
        ),
        between("mean absolute deviation at the end", 0.1, 10.0, float(deviation[-1]), published="saturates"),
        check(
            "beyond the paper: the certificate's bound is above the true error at every step", [broken],
            lambda steps: f"below it at {len(steps)} steps, the first {steps[0]}" if steps else None,
            ours=f"below it at {len(broken)}",
        ),
        between(
            "beyond the paper: steps that the certificate vouches for, over those before they part", 0.5, 1.0,
            dataset.horizon.item() / place, published="none",
        ),
    )  # fmt: skip


def figure(dataset: "xarray.Dataset") -> Figure:
    """The deviation by step with the certificate's bound, and the first coordinate of both trajectories."""
    figure = style.empty(8.4, 3.0)
    left, right = figure.subplots(1, 2)
    step = dataset.step.values
    bound = np.where(np.isfinite(dataset.bound), dataset.bound, np.nan)
    left.semilogy(
        step, np.maximum(dataset.deviation, 1e-18), color=style.CHAOTIC, linewidth=1.1, label="mean deviation"
    )
    left.semilogy(step, np.maximum(dataset.distance, 1e-18), color=style.MUTED, linewidth=0.8, label="distance")
    left.semilogy(step, bound, color=style.PREDICTABLE, linewidth=1.4, label="certificate's bound\non the distance")
    horizon = int(dataset.horizon)
    left.axvline(horizon, color=style.PREDICTABLE, linewidth=0.9, linestyle=":")
    left.annotate(f"vouched for\nup to {horizon}", (horizon, 1e-16), (4, 0), textcoords="offset points", fontsize=8)
    left.set_ylim(1e-17, 1e3)
    left.set_ylabel("deviation from sequential")
    left.legend(frameon=False, fontsize=8, loc="lower right")
    parted = np.flatnonzero(dataset.deviation.values > PARTED)
    middle = int(step[parted[0]]) if parted.size else len(step) // 2
    # All T steps would be a block of ink; this is where the two begin to differ.
    window = slice(max(0, middle - 120), middle + 80)
    one, other = dataset.first_sequential.values[window], dataset["first"].values[window]
    right.plot(step[window], one, color=style.INK, linewidth=1.6, label="sequential")
    right.plot(step[window], other, color=style.CHAOTIC, linewidth=1.0, label="Newton, T updates")
    right.set_ylabel("coordinate 1")
    right.set_ylim(top=1.5 * float(np.abs(one).max()))
    right.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)
    for panel in (left, right):
        panel.set_xlabel("step t")
        style.frame(panel)
    style.letters((left, right))
    return figure


EXPERIMENT = Experiment(
    name="fig5",
    title="A merit of zero is not the right trajectory when the network is unpredictable",
    sizes=SIZES,
    points=points,
    measure=measure,
    gather=gather,
    claims=claims,
    figure=figure,
    note="The mean-field network at g = 1.85 in float64. Newton's method runs T updates; what is left of its residual "
    "is rounding. The certificate knows the sequential trajectory as little as a user does.",
)
