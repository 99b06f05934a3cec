"""The choice of a method: what each would cost on this machine, and which of them is worth it."""

from ..programs.platform import platform_of as platform_of
from .calibrate import cache_file as cache_file
from .calibrate import calibrate as calibrate
from .calibrate import fingerprint as fingerprint
from .calibrate import known_rates as known_rates
from .candidate import Candidate as Candidate
from .cost import updates_within as updates_within
from .machine import Rates as Rates
from .machine import built_in as built_in
from .plan import plan as plan
from .plan_record import Plan as Plan
