"""The picture of the example: acceptance and contraction over the step size, and what the chains found."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

import parascan as ps


def draw(
    sizes: Sequence[float], seen: Sequence[ps.mcmc.Foretold], chosen: float, draws: dict[str, np.ndarray]
) -> Figure:
    """Left, the coupling exponent and the acceptance over the step size; right, two marginal densities.

    Args:
        sizes: step sizes.
        seen: what was foretold at each.
        chosen: the step size of the warm-up.
        draws: draws of two numbers, by name.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(sizes, [each.exponent for each in seen], "o-", color="C0", label="coupling exponent per step")
    left.axhline(0, color="gray", linewidth=0.8)
    left.axvline(chosen, color="gray", linestyle=":", label="step size of the warm-up")
    left.set(xscale="log", xlabel="step size (MALA, logistic regression)", ylabel="coupling exponent per step")
    twin = left.twinx()
    twin.plot(sizes, [each.acceptance for each in seen], "s--", color="C1", label="acceptance")
    twin.set(ylabel="acceptance", ylim=(0, 1.05))
    handles = left.get_legend_handles_labels(), twin.get_legend_handles_labels()
    left.legend(handles[0][0] + handles[1][0], handles[0][1] + handles[1][1], fontsize=8, loc="lower left")
    for name, values in draws.items():
        right.hist(values.ravel(), bins=60, density=True, histtype="step", label=name)
    right.set(xlabel="eight schools", ylabel="density")
    right.legend()
    return figure
