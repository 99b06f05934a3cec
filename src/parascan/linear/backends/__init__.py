"""Ways to evaluate a linear recurrence, each a function ``run(transition, b, *, transpose) -> [T D]``.

All solve ``s_t = A_t s_{t-1} + b_t`` from ``s_0 = 0`` (so that ``A_1`` is never used) or, transposed,
``y_t = A_{t+1}^T y_{t+1} + b_t`` from the end. None is differentiated: derivatives belong to the residual Jacobian.
"""

from .backend_registry import BACKENDS as BACKENDS
from .backend_registry import Backend as Backend
from .backend_registry import backend_called as backend_called
from .backend_registry import find_backend as find_backend
