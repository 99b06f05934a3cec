"""Figure 1: Newton's iterates and the merit around the solution, for a predictable and an unpredictable network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

import parascan as ps

from ...pictures import style
from ...pictures.style import Axes, Figure
from ..harness.claims import Claim, between
from ..harness.experiment import Experiment
from ..harness.portions import Portion, in_portions

if TYPE_CHECKING:
    import xarray

KINDS = ("predictable", "unpredictable")

SHOWN = (1, 3, 20)
"""Updates after which iterates are drawn."""


@dataclass(frozen=True)
class Network:
    """A network to look at.

    Attributes:
        gain: scale of its weights.
        units: D.
        length: T.
        seed: of the network and of the guess.
        grid: points along each axis of the landscape.
        reach: its half-width, as a root mean square displacement of the states.
        tolerance: bound on merit/T at which Newton stops.
    """

    gain: float
    units: int = 12
    length: int = 60
    seed: int = 0
    grid: int = 81
    reach: float = 0.1
    tolerance: float = 1e-10


@dataclass(frozen=True)
class Config:
    """What to run.

    Attributes:
        predictable: a network with a negative exponent.
        unpredictable: one with a positive exponent.
    """

    predictable: Network = Network(0.6)
    unpredictable: Network = Network(3.0)


SIZES = MappingProxyType(
    {
        "smoke": Config(Network(0.6, length=40, grid=21), Network(3.0, length=40, grid=21)),
        "desk": Config(),
        "full": Config(),
    }
)
"""Configurations by name. The paper does not say which networks it drew."""


def points(config: Config) -> tuple[Network, ...]:
    """A point a network."""
    return config.predictable, config.unpredictable


def measure(point: Network, folder: Path) -> Mapping[str, Any]:
    """Trajectories of the first coordinate, the merit on a plane through the solution, singular values, the exponent.

    The plane is spanned by the two directions in which the merit bends least and most: the right singular vectors of
    the residual's Jacobian at the solution.

    Args:
        point: what to measure.
        folder: not needed.
    """
    key = jax.random.key(point.seed)
    system = ps.systems.tanh_rnn(gain=point.gain, size=point.units, key=key)
    xs, length = system.inputs(point.length), point.length
    solution = ps.rollout(system.step, system.initial_state, xs, solver=ps.Sequential()).states
    guess = jax.random.uniform(jax.random.split(key, 7)[5], solution.shape, minval=-1.0, maxval=1.0)
    iterates: list[Portion] = []
    in_portions(
        system, xs, length, solver=ps.deer(), criterion=ps.Merit(point.tolerance), guess=guess, size=1,
        after=iterates.append,
    )  # fmt: skip

    def residual(flat: jax.Array) -> jax.Array:
        states = flat.reshape(solution.shape)
        before = jnp.concatenate([system.initial_state[None], states[:-1]])
        return (states - jax.vmap(system.step)(before, xs)).ravel()

    _, singular, directions = jnp.linalg.svd(jax.jacfwd(residual)(solution.ravel()))
    place = jnp.linspace(-point.reach, point.reach, point.grid)
    plane = jnp.sqrt(length) * jnp.stack([directions[-1], directions[0]])

    def merit(least: jax.Array, most: jax.Array) -> jax.Array:
        return 0.5 * jnp.mean(residual(solution.ravel() + least * plane[0] + most * plane[1]) ** 2) * point.units

    landscape = jax.jit(jax.vmap(jax.vmap(merit, (0, None)), (None, 0)))(place, place)
    call = (system.step, system.initial_state, system.inputs(1000), 1000)
    return {
        "sequential": np.asarray(solution[:, 0]),
        "guess": np.asarray(guess[:, 0]),
        "iterates": np.stack([np.asarray(iterates[min(k, len(iterates)) - 1].solution.states[:, 0]) for k in SHOWN]),
        "updates": iterates[-1].updates,
        "landscape": np.asarray(landscape),
        "sigma_min": float(singular[-1]),
        "sigma_max": float(singular[0]),
        "exponent": float(ps.lyapunov_exponents(*call, key=key).per_step),
    }


def gather(config: Config, values: Sequence[Mapping[str, Any]]) -> "xarray.Dataset":
    """Both networks side by side."""
    import xarray

    network = config.predictable
    dims = {"sequential": ("step",), "guess": ("step",), "iterates": ("shown", "step"), "landscape": ("most", "least")}
    columns = {
        name: (("kind", *dims.get(name, ())), np.stack([np.asarray(each[name]) for each in values]))
        for name in values[0]
    }
    place = np.linspace(-network.reach, network.reach, network.grid)
    coordinates = {"kind": list(KINDS), "shown": list(SHOWN), "most": place, "least": place}
    return xarray.Dataset(columns, coords=coordinates, attrs={"length": network.length})


def claims(dataset: "xarray.Dataset") -> tuple[Claim, ...]:
    """What the paper shows with the figure, in numbers."""
    calm, wild = dataset.sel(kind="predictable"), dataset.sel(kind="unpredictable")
    length, exponent = int(dataset.length), calm.exponent.item()
    bound = float(np.expm1(exponent) / np.expm1(exponent * length))
    return (
        between("exponent of the predictable network, per step", -10, 0, exponent, published="negative"),
        between("exponent of the unpredictable network, per step", 0, 10, wild.exponent.item(), published="positive"),
        between("steps for the predictable network", 1, 10, calm.updates.item() + 1, published="few"),
        between(
            "steps for the unpredictable network over T", 0.25, 1.02, (wild.updates.item() + 1) / length,
            published="many",
        ),
        between(
            "smallest singular value, predictable, over the bound of theorem 2 with a = 1", 0.3, 10,
            calm.sigma_min.item() / bound, published="bounded below, whatever T",
        ),
        between(
            "largest over smallest singular value, unpredictable", 1e3, np.inf,
            wild.sigma_max.item() / wild.sigma_min.item(), published="excessive flatness",
        ),
    )  # fmt: skip


def figure(dataset: "xarray.Dataset") -> Figure:
    """A row a network: the first coordinate of sequential evaluation and of iterates, and the merit around it."""
    figure = style.empty(8.4, 5.0)
    panels = figure.subplots(2, 2, width_ratios=(1.4, 1.0))
    logarithm = np.log10(np.maximum(dataset.landscape, 1e-12))
    for row, (kind, color) in enumerate(zip(KINDS, (style.PREDICTABLE, style.CHAOTIC), strict=True)):
        found = dataset.sel(kind=kind)
        _trajectories(panels[row, 0], found, color)
        panels[row, 0].set_title(
            rf"{kind}: $\lambda$ = {found.exponent.item():.2f}, solved in {found.updates.item() + 1} steps",
            fontsize=10, loc="left",
        )  # fmt: skip
        panel = panels[row, 1]
        levels = np.linspace(-6, 0, 13)
        shade = panel.contourf(dataset.least, dataset.most, logarithm[row], levels, cmap="cividis", extend="both")
        panel.contour(dataset.least, dataset.most, logarithm[row], levels, colors="white", linewidths=0.4)
        panel.plot(
            0, 0, "*", color="white", markeredgecolor=style.INK, markersize=11, linestyle="", label="solution"
        )  # fmt: skip
        panel.set_ylabel("direction of most\ncurvature")
        figure.colorbar(shade, ax=panel, label="log10 of merit / T", ticks=range(-6, 1, 2))
    style.letters(panels.ravel())
    known = [panel.get_legend_handles_labels() for panel in panels[0]]
    handles, labels = ([each for one in known for each in one[part]] for part in (0, 1))
    figure.legend(handles, labels, loc="outside upper left", ncols=6, frameon=False, fontsize=8)
    panels[1, 0].set_xlabel("step t")
    panels[1, 1].set_xlabel("direction of least curvature")
    return figure


def _trajectories(panel: Axes, found: "xarray.Dataset", color: str) -> None:
    """The sequential trajectory, and iterates that are darker the later they come."""
    step = np.arange(1, found.sizes["step"] + 1)
    panel.plot(step, found.sequential, color=style.INK, linewidth=2.4, alpha=0.35, label="sequential")
    panel.plot(step, found.guess, ":", color=style.MUTED, linewidth=0.9, label="guess")
    styles = zip(found.shown.values, ((0, (1, 1)), "--", "-"), (0.35, 0.7, 1.0), strict=True)
    for (updates, line, alpha), states in zip(styles, found.iterates.values, strict=True):
        panel.plot(
            step,
            states,
            linestyle=line,
            color=color,
            alpha=alpha,
            linewidth=0.5 + 0.8 * alpha,
            label=f"iterate {updates}",
        )
    panel.set_ylim(*(np.array([-1.6, 1.6]) * max(1.0, float(np.abs(found.sequential).max()))))
    panel.set_ylabel("coordinate 1")
    panel.spines[["top", "right"]].set_visible(False)


EXPERIMENT = Experiment(
    name="fig1",
    title="Predictable networks have round merit landscapes, unpredictable ones canyons",
    sizes=SIZES,
    points=points,
    measure=measure,
    gather=gather,
    claims=claims,
    figure=figure,
    note="The paper does not say which networks it drew; these are mean-field networks of 12 units. The landscape is "
    "the merit on the plane through the solution (star) that the right singular vectors of the residual's Jacobian of "
    "least and largest singular value span; its axes are root mean square displacements of the states.",
)
