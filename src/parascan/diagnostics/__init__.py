"""Diagnoses of a system: how fast it forgets or amplifies perturbations."""

from .by_length import updates_by_length as updates_by_length
from .certify import certify as certify
from .conditioning import Conditioning as Conditioning
from .conditioning import conditioning as conditioning
from .covariant import CovariantVectors as CovariantVectors
from .covariant import covariant_vectors as covariant_vectors
from .curves import WindowGrowth as WindowGrowth
from .curves import window_growth as window_growth
from .diagnose import diagnose as diagnose
from .diagnosis import Diagnosis as Diagnosis
from .entropy import pesin_sum as pesin_sum
from .estimate import Estimate as Estimate
from .exponents import LyapunovEstimate as LyapunovEstimate
from .growth import Regularity as Regularity
from .growth import jacobian_norm as jacobian_norm
from .growth import regularity as regularity
from .lyapunov import lyapunov_exponents as lyapunov_exponents
from .metric import Contraction as Contraction
from .metric import contraction as contraction
from .paths import Paths as Paths
from .pilots import Growth as Growth
from .pilots import measure_growth as measure_growth
from .smoothness import lipschitz as lipschitz
