"""Linear recurrences: structures of matrices, backends, the residual Jacobian, and their one derivative."""

from ._abstract import AbstractComposableTransition as AbstractComposableTransition
from ._abstract import AbstractTransition as AbstractTransition
from .backend_choice import choose_backend as choose_backend
from .backend_choice import explain_backend as explain_backend
from .bidiagonal import Bidiagonal as Bidiagonal
from .block_diagonal import BlockTransition as BlockTransition
from .matrix_free import MatrixFreeTransition as MatrixFreeTransition
from .recurrence import linear_recurrence as linear_recurrence
from .smoother import damped_solve as damped_solve
from .transitions import DenseTransition as DenseTransition
from .transitions import DiagonalTransition as DiagonalTransition
from .transitions import ScalarTransition as ScalarTransition
from .transitions import ZeroTransition as ZeroTransition
