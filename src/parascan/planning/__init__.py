"""The choice of a method: what each would cost on this machine, and which of them is worth it."""

from .._platform import platform_of as platform_of
from .calibration import cache_file as cache_file
from .calibration import calibrate as calibrate
from .calibration import fingerprint as fingerprint
from .calibration import known_rates as known_rates
from .candidate import Candidate as Candidate
from .cost import updates_within as updates_within
from .plan import plan as plan
from .rates import Rates as Rates
from .rates import built_in as built_in
from .record import Plan as Plan
