"""Trainable layers: recurrent cells evaluated in parallel over the sequence, and means to keep them predictable."""

from ._archive import LabeledSequences, read_ts
from ._cell import AbstractCell, Custom
from ._depth import Depth, depth
from ._depth_bias import Bias, BiasWarning
from ._depth_forecast import DepthForecast
from ._exponents import ceiling_penalty, finite_time_exponents, flossing_penalty
from ._layer import AbstractLayer, Recurrent
from ._monitor import DriftWarning, Monitor, Reading
from ._packed import Packed, pack
from ._stack import Bidirectional, Stacked, stack
from ._warm import WarmStart, states_of
from .cell_weights import from_equinox, to_equinox
from .continuous import LEMCell, LRCCell
from .contractive import ContractiveCell, LearnedRate
from .gated import ElmanCell, GRUCell, LSTMCell, MinimalGatedCell
from .metrics import DiagonalMetric, FullMetric
from .weights import BjorckWeight, CayleyWeight, DiagonalWeight, OrthogonalDiagonalWeight, ScaledWeight

__all__ = [
    "AbstractCell",
    "AbstractLayer",
    "Bias",
    "BiasWarning",
    "Bidirectional",
    "BjorckWeight",
    "CayleyWeight",
    "ContractiveCell",
    "Custom",
    "Depth",
    "DepthForecast",
    "DiagonalMetric",
    "DiagonalWeight",
    "DriftWarning",
    "ElmanCell",
    "FullMetric",
    "GRUCell",
    "LEMCell",
    "LRCCell",
    "LSTMCell",
    "LabeledSequences",
    "LearnedRate",
    "MinimalGatedCell",
    "Monitor",
    "OrthogonalDiagonalWeight",
    "Packed",
    "Reading",
    "Recurrent",
    "ScaledWeight",
    "Stacked",
    "WarmStart",
    "ceiling_penalty",
    "depth",
    "finite_time_exponents",
    "flossing_penalty",
    "from_equinox",
    "pack",
    "read_ts",
    "stack",
    "states_of",
    "to_equinox",
]
