"""Which state entries each entry of a step function's result may read, followed through the traced program."""

from .facts import UndecidedError
from .walk import Program

__all__ = ["Program", "UndecidedError"]
