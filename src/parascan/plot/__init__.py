"""Pictures, one kind a file; matplotlib is imported when one is drawn and not before."""

from .diagnosis import diagnosis as diagnosis
from .exponents import exponents as exponents
from .style import CHAOTIC as CHAOTIC
from .style import INK as INK
from .style import MUTED as MUTED
from .style import PREDICTABLE as PREDICTABLE
from .style import SUFFIXES as SUFFIXES
from .style import Axes as Axes
from .style import Figure as Figure
from .style import beyond as beyond
from .style import canvas as canvas
from .style import crosses as crosses
from .style import frame as frame
from .style import letters as letters
from .style import require as require
from .style import save as save
from .sweep import sweep as sweep
from .trajectory import trajectory as trajectory
