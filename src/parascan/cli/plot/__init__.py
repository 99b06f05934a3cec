"""Pictures, one kind a file; matplotlib is imported only when one is drawn."""

from .diagnosis_picture import diagnosis as diagnosis
from .exponents_picture import exponents as exponents
from .sweep_picture import sweep as sweep
from .trajectory_picture import trajectory as trajectory
