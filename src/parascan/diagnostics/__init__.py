"""Diagnoses of a system: how fast it forgets or amplifies perturbations, and what follows for parallel methods."""

from .certificate.certify import certify as certify
from .conditioning.condition_number import Conditioning as Conditioning
from .conditioning.condition_number import conditioning as conditioning
from .diagnose import diagnose as diagnose
from .diagnosis import Diagnosis as Diagnosis
from .estimate import Estimate as Estimate
from .forecast.by_length import updates_by_length as updates_by_length
from .forecast.update_rate import UpdateRate as UpdateRate
from .forecast.update_rate import update_rate as update_rate
from .growth.covariant import CovariantVectors as CovariantVectors
from .growth.covariant import covariant_vectors as covariant_vectors
from .growth.curves import WindowGrowth as WindowGrowth
from .growth.curves import window_growth as window_growth
from .growth.entropy import pesin_sum as pesin_sum
from .growth.exponents import LyapunovEstimate as LyapunovEstimate
from .growth.growth_constants import Regularity as Regularity
from .growth.growth_constants import jacobian_norm as jacobian_norm
from .growth.growth_constants import regularity as regularity
from .growth.lyapunov import lyapunov_exponents as lyapunov_exponents
from .growth.metric import Contraction as Contraction
from .growth.metric import contraction as contraction
from .growth.paths import Paths as Paths
from .growth.pilots import Growth as Growth
from .growth.pilots import measure_growth as measure_growth
from .growth.smoothness import lipschitz as lipschitz
from .proven_contraction import ProvenContraction as ProvenContraction
