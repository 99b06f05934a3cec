"""Diagnoses over the parameters of a step, to find where the user's own system stops being predictable."""

from .blame import place_of as place_of
from .blame import reason_of as reason_of
from .measure_point import Found as Found
from .measure_point import Interval as Interval
from .measure_point import first_steps as first_steps
from .sweep import SweepProgress as SweepProgress
from .sweep import sweep as sweep
from .sweep_record import Sweep as Sweep
from .threshold import Crossing as Crossing
