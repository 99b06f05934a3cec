"""Pictures and pages of what was found, one kind a file; matplotlib is imported only when a picture is drawn."""

from .diagnosis_page import diagnosis_html as diagnosis_html
from .diagnosis_picture import diagnosis as diagnosis
from .exponents_picture import exponents as exponents
from .plan_page import plan_html as plan_html
from .plan_picture import plan as plan
from .sweep_page import sweep_html as sweep_html
from .sweep_picture import sweep as sweep
from .trajectory_picture import trajectory as trajectory
