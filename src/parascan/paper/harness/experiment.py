"""What every table and figure of the paper is made of: points measured one by one, and what follows from them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ...pictures.style import Figure
from .claims import Claim

if TYPE_CHECKING:
    import xarray

Point: TypeAlias = Any
"""One measurement and everything that decides its numbers: a frozen dataclass of plain numbers and words."""

Arithmetic: TypeAlias = Literal["library", "published"]
"""This library's own, or that of the code that the paper published, to the order of its sums and its way to count."""

Values: TypeAlias = Mapping[str, Any]
"""What one point measures: numbers and NumPy arrays by name."""


@dataclass(frozen=True)
class Experiment:
    """A table or figure.

    Attributes:
        name: as the command line calls it, such as ``fig2``.
        title: what it shows, in a sentence.
        sizes: configurations by name: smoke (seconds), desk (minutes on two cores), full (the paper's).
        points: the points of a configuration, in an order that does not matter to their numbers.
        measure: the values of a point; the folder is its own, for what lets a long one be taken up again. Runs in
            another process, so it is a function of a module; 64-bit types are enabled.
        gather: the labelled dataset of a configuration from the values of all its points, in their order.
        claims: what the paper states, checked on the dataset.
        figure: the picture of the dataset.
        alone: whether a point measures time, so that nothing else may run beside it.
        note: how the numbers are to be read, in a few sentences.
        table: the dataset as lines of cells, the first of them headings; None where the picture says it all.
        arithmetic: that of its numbers; experiments of one name differ in it.
    """

    name: str
    title: str
    sizes: Mapping[str, Any]
    points: Callable[[Any], Sequence[Point]]
    measure: Callable[[Point, Path], Values]
    gather: Callable[[Any, Sequence[Values]], "xarray.Dataset"]
    claims: Callable[["xarray.Dataset"], tuple[Claim, ...]]
    figure: Callable[["xarray.Dataset"], Figure]
    alone: bool = False
    note: str = ""
    table: Callable[["xarray.Dataset"], Sequence[Sequence[str]]] | None = None
    arithmetic: Arithmetic = "library"

    @property
    def stem(self) -> str:
        """Name of its files, of its own for each arithmetic."""
        return self.name if self.arithmetic == "library" else f"{self.name}-{self.arithmetic}"
