"""Markov chains over their length: kernels as maps of position and noise, their samples, and what to expect of them.

A chain ``x_t = kernel(x_{t-1}, noise_t)`` with its noise drawn beforehand is a recurrence like any other. It can be run
in parallel over its length where two copies that share the noise come together.
"""

from ..solvers import BlockDiagonal as BlockDiagonal
from ..solvers import Gate as Gate
from .foreign_kernel import from_blackjax as from_blackjax
from .foretell import Foretold as Foretold
from .foretell import foretell as foretell
from .gibbs import gibbs as gibbs
from .hamiltonian import hmc as hmc
from .kernel import AbstractKernel as AbstractKernel
from .kernel import Info as Info
from .langevin_kernels import mala as mala
from .langevin_kernels import ula as ula
from .random_walk import random_walk as random_walk
from .sample import Draws as Draws
from .sample import sample as sample
from .summary import Summary as Summary
from .summary import effective_sample_size as effective_sample_size
from .summary import split_r_hat as split_r_hat
from .tuning import Tried as Tried
from .tuning import Tuned as Tuned
from .tuning import tune as tune
from .warming import WarmUp as WarmUp
from .warming import warm_up as warm_up
