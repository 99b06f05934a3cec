"""Solvers: each file owns one kind of update."""

from .base import AbstractDirectSolver as AbstractDirectSolver
from .base import AbstractIterativeSolver as AbstractIterativeSolver
from .base import AbstractSolver as AbstractSolver
from .base import Iterate as Iterate
from .base import Solver as Solver
from .combinators import Blocks as Blocks
from .forgetting import Forgetting as Forgetting
from .gradient import GradientDescent as GradientDescent
from .linearizations import AbstractLinearization as AbstractLinearization
from .linearizations import Diagonal as Diagonal
from .linearizations import Full as Full
from .linearizations import Identity as Identity
from .linearizations import StochasticDiagonal as StochasticDiagonal
from .linearizations import Surrogate as Surrogate
from .linearizations import Zero as Zero
from .newton import Newton as Newton
from .newton import deer as deer
from .newton import jacobi as jacobi
from .newton import picard as picard
from .newton import quasi_deer as quasi_deer
from .newton import scale_elk as scale_elk
from .sequential import Sequential as Sequential
