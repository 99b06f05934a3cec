"""Many points: a function at each of them, or the parameters at which a system stops being predictable."""

from .attempts import Here as Here
from .attempts import attempts as attempts
from .blame import place_of as place_of
from .blame import reason_of as reason_of
from .measure_point import Found as Found
from .measure_point import Interval as Interval
from .measure_point import first_steps as first_steps
from .parameter_record import ParameterSweep as ParameterSweep
from .parameter_sweep import ParameterProgress as ParameterProgress
from .parameter_sweep import sweep_parameters as sweep_parameters
from .sweep import Sweep as Sweep
from .sweep import SweepProgress as SweepProgress
from .sweep import sweep as sweep
from .threshold import Crossing as Crossing
