"""Diagnoses over the parameters of a step: the threshold of a user's own system."""

from .blame import place_of as place_of
from .blame import reason_of as reason_of
from .measure import Found as Found
from .measure import Interval as Interval
from .measure import first_steps as first_steps
from .record import Sweep as Sweep
from .sweep import SweepProgress as SweepProgress
from .sweep import sweep as sweep
from .threshold import Crossing as Crossing
