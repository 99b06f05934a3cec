"""Diagnoses of a system: how fast it forgets or amplifies perturbations."""

from .lyapunov import LyapunovEstimate as LyapunovEstimate
from .lyapunov import lyapunov_exponents as lyapunov_exponents
