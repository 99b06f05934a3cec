"""``plan``: what each method would cost on this machine, and which of them is worth it."""

from ..programs.built_in import built_in as built_in
from ..programs.machine import Machine as Machine
from ..programs.platform import compiling_for as compiling_for
from ..programs.platform import platform_of as platform_of
from .calibration import cache_file as cache_file
from .calibration import calibrate as calibrate
from .calibration import fingerprint as fingerprint
from .calibration import known_machine as known_machine
from .candidate import Candidate as Candidate
from .plan import plan as plan
from .plan_record import Plan as Plan
