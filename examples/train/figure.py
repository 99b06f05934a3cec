"""The contractive and the free model side by side, as one picture."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .training import Record

STYLES = {"contractive": ("tab:blue", "-"), "free": ("tab:red", "--")}


def draw(records: dict[str, Record], ceiling: float, title: str, path: Path) -> None:
    """Accuracy, exponent and iterations over training.

    Args:
        records: by the model's name.
        ceiling: logarithm of the contractive model's rate.
        title: what was trained on.
        path: where the picture goes.
    """
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 3)
    panels = (
        ("accuracy", "test accuracy"),
        ("exponent", "largest exponent (1/step)"),
        ("iterations", "Newton iterations"),
    )
    for axis, (key, label) in zip(axes, panels, strict=True):
        for name, record in records.items():
            color, line = STYLES[name]
            steps = [look["step"] for look in record.looks]
            axis.plot(steps, [look[key] for look in record.looks], line, color=color, marker=".", label=name)
        axis.set_xlabel("training step")
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    axes[0].set_ylim(0, 1.05)
    axes[1].axhline(0, color="black", linewidth=0.8)
    axes[1].axhline(ceiling, color="tab:blue", linewidth=0.8, linestyle=":", label="log(rate)")
    axes[2].set_yscale("log")
    axes[1].legend()
    axes[0].legend()
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
