"""The picture of the example: exponents along depth, updates, and the bias of stopping early."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure


class Curve(NamedTuple):
    """What was seen of a network over the initialization scale.

    Attributes:
        name: of the network.
        scales: initialization scales.
        exponents: per layer.
        updates: of Newton's method.
        layers: L.
    """

    name: str
    scales: Float[np.ndarray, " S"]
    exponents: Float[np.ndarray, " S"]
    updates: Sequence[int]
    layers: int


def draw(curves: Sequence[Curve], biases: Mapping[str, tuple[Sequence[float], Sequence[int]]]) -> Figure:
    """Left, the exponent; in the middle, the share of layers that Newton takes as updates; right, biases.

    Args:
        curves: of networks.
        biases: relative errors of a gradient, and the updates after which evaluations stopped, by network.
    """
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for curve in curves:
        left.plot(curve.scales, curve.exponents, "o-", label=curve.name)
        middle.plot(curve.scales, np.asarray(curve.updates) / curve.layers, "o-", label=curve.name)
    left.axhline(0, color="gray", linewidth=0.8)
    left.set(xscale="log", xlabel="initialization scale", ylabel="exponent per layer")
    left.legend(fontsize=7)
    middle.set(xscale="log", yscale="log", xlabel="initialization scale", ylabel="Newton's updates / layers")
    middle.axhline(1, color="gray", linewidth=0.8)
    for name, (errors, stops) in biases.items():
        right.plot(stops, errors, "o-", label=name)
    right.axhline(1, color="gray", linewidth=0.8)
    right.set(yscale="log", xlabel="updates of quasi-Newton", ylabel="error of the gradient / its norm")
    right.legend(fontsize=7)
    return figure
