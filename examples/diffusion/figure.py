"""The picture of the example: digits sequential and parallel, and evaluations in sequence."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure


def draw(
    samples: Mapping[str, Float[np.ndarray, "N 64"]], counts: Mapping[str, Sequence[int]], steps: Sequence[int]
) -> Figure:
    """Left, a row of digits for each way to find them; right, evaluations that follow one another.

    Args:
        samples: pictures by the way they were found.
        counts: evaluations in sequence by method, for each number of steps.
        steps: numbers of steps.
    """
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.6, 1])
    shown = min(8, *(len(each) for each in samples.values()))
    axes = left.subplots(len(samples), shown, squeeze=False)
    for row, (name, pictures) in zip(axes, samples.items(), strict=True):
        for axis, picture in zip(row, pictures, strict=False):
            axis.imshow(picture.reshape(8, 8), cmap="gray", vmin=-1, vmax=1)
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")
    axis = right.subplots()
    for name, values in counts.items():
        axis.plot(steps, values, "o-", label=name)
    axis.plot(steps, steps, color="gray", label="sequential")
    axis.set(xscale="log", yscale="log", xlabel="steps of the sampler", ylabel="evaluations in sequence")
    axis.set_xticks(list(steps), [str(each) for each in steps])
    axis.minorticks_off()
    axis.legend(fontsize=8)
    return figure
