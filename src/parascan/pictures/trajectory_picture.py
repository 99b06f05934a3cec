"""A trajectory over time, beside its distance from the sequential one."""

import numpy as np
from jaxtyping import Float

from .style import INK, LABEL_SIZE, Figure, canvas, legend_beside, letters, shades

MOST_COMPONENTS = 6
"""Number of state entries drawn; more would hide each other."""


def trajectory(
    states: Float[np.ndarray, "T D"], error: Float[np.ndarray, " T"] | None, *, title: str, dt: float | None
) -> Figure:
    """A trajectory over time, and its distance from the sequential one where that was measured.

    Args:
        states: the states [T, D], of which the first entries are drawn.
        error: largest distance from the sequential trajectory at every step [T], in units of the state, or None.
        title: one line above the picture.
        dt: length of a step in units of time, None to count steps.

    Returns:
        A matplotlib figure.

    Raises:
        ImportError: matplotlib is not installed.
    """
    shown = min(states.shape[1], MOST_COMPONENTS)
    figure, panels = canvas(8.0, 3.2 if error is None else 4.8, (1.0,) if error is None else (2.0, 1.0))
    time = np.arange(1, len(states) + 1) * (dt or 1)
    for index, color in enumerate(shades(shown)):
        panels[0].plot(time, states[:, index], color=color, linewidth=0.9, label=f"entry {index}")
    panels[0].set_ylabel("state")
    panels[0].set_title(title, fontsize=LABEL_SIZE, loc="left")
    legend_beside(panels[0])
    if error is not None:
        # Zero has no place on a logarithmic axis; it is left out.
        panels[1].semilogy(time, np.where(error > 0, error, np.nan), color=INK, linewidth=0.8)
        gaps = "\n(zero in gaps)" if (error == 0).any() else ""
        panels[1].set_ylabel(f"distance from\nsequential{gaps}")
    panels[-1].set_xlim(0, time[-1])
    panels[-1].set_xlabel("step" if dt is None else f"time, in units of {1 / dt:g} steps")
    if error is not None:
        letters(panels)
    return figure
