"""Diffusion samplers as recurrences over noise levels, driven by a network that predicts noise."""

from .coarse_corrections import Parareal as Parareal
from .fine_steps import Sampler as Sampler
from .fine_steps import ddim as ddim
from .fine_steps import ddpm as ddpm
from .fine_steps import euler_sde as euler_sde
from .levels import cosine_levels as cosine_levels
from .levels import linear_levels as linear_levels
from .sampling import Sample as Sample
from .sampling import Window as Window
from .sampling import sample as sample
