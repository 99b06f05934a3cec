"""Pictures that a command draws into a file."""

from pathlib import Path

from ..api.files import write_atomically
from ..pictures import style
from . import report
from ._errors import wrong_usage


def save_picture(figure: style.Figure, path: Path, *, tell: bool = True) -> None:
    """Write a figure in the format of the file's suffix.

    Args:
        figure: of matplotlib.
        path: the file.
        tell: whether to say so on the terminal; not where the output is read by a program.
    """
    with wrong_usage():
        write_atomically(path, lambda file: style.save(figure, file, path.suffix))
    if tell:
        report.console().print(f"drew {path}", markup=False, soft_wrap=True)
