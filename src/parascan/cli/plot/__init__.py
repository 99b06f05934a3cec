"""Pictures, one kind a file; matplotlib is imported when one is drawn and not before."""

from .diagnosis_picture import diagnosis as diagnosis
from .exponents_picture import exponents as exponents
from .sweep_picture import sweep as sweep
from .trajectory_picture import trajectory as trajectory
