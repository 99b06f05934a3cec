"""Which state entries each entry of a step function's result may read, followed through the traced program."""

from .facts import Fact, UndecidedError
from .moves import places_after
from .walk import Program

__all__ = ["Fact", "Program", "UndecidedError", "places_after"]
