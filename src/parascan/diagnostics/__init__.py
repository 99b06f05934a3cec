"""Diagnoses of a system: how fast it forgets or amplifies perturbations."""

from .estimate import Estimate as Estimate
from .exponents import LyapunovEstimate as LyapunovEstimate
from .lyapunov import lyapunov_exponents as lyapunov_exponents
