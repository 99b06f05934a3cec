"""Diagnoses of a system: how fast it forgets or amplifies perturbations."""

from .conditioning import Conditioning as Conditioning
from .conditioning import conditioning as conditioning
from .estimate import Estimate as Estimate
from .exponents import LyapunovEstimate as LyapunovEstimate
from .lyapunov import lyapunov_exponents as lyapunov_exponents
