"""Ranges of the values in a program, and bounds on its derivatives, for every state at once."""

from .follow import followed as followed
from .value_bounds import Bounds as Bounds
from .value_bounds import UnboundedError as UnboundedError
from .value_bounds import any_state as any_state
from .value_bounds import anything as anything
from .value_bounds import known as known
