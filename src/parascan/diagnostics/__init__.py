"""Diagnoses of a system: how fast it forgets or amplifies perturbations."""

from .certify import certify as certify
from .conditioning import Conditioning as Conditioning
from .conditioning import conditioning as conditioning
from .estimate import Estimate as Estimate
from .lyapunov import LyapunovEstimate as LyapunovEstimate
from .lyapunov import lyapunov_exponents as lyapunov_exponents
