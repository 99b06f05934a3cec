"""Solvers by their published nicknames, for callers that name one in words, such as the command line."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from .base import AbstractSolver
from .chunked import Chunked
from .gradient import GradientDescent
from .levenberg_marquardt import elk, quasi_elk
from .newton import deer, jacobi, picard, quasi_deer
from .sequential import Sequential

SOLVERS: Mapping[str, Callable[[], AbstractSolver]] = MappingProxyType(
    {
        "deer": deer,
        "quasi_deer": quasi_deer,
        "picard": picard,
        "jacobi": jacobi,
        "elk": elk,
        "quasi_elk": quasi_elk,
        "gradient_descent": GradientDescent,
        "chunked": Chunked,
        "sequential": Sequential,
    }
)
"""Functions by nickname, each of which makes a solver with its defaults."""
