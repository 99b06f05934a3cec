"""Trainable layers: recurrent cells evaluated in parallel over the sequence, and what keeps them predictable."""

from ._cell import AbstractCell, Custom
from ._layer import AbstractLayer, Recurrent
from ._packed import Packed, pack
from ._stack import Bidirectional, Stacked, stack
from ._warm import WarmStart, states_of
from .continuous import LEMCell, LRCCell
from .contractive import ContractiveCell, LearnedRate
from .gated import ElmanCell, GRUCell, LSTMCell, MinimalGatedCell
from .metrics import DiagonalMetric, FullMetric
from .weights import BjorckWeight, CayleyWeight, DiagonalWeight, OrthogonalDiagonalWeight, ScaledWeight

__all__ = [
    "AbstractCell",
    "AbstractLayer",
    "Bidirectional",
    "BjorckWeight",
    "CayleyWeight",
    "ContractiveCell",
    "Custom",
    "DiagonalMetric",
    "DiagonalWeight",
    "ElmanCell",
    "FullMetric",
    "GRUCell",
    "LEMCell",
    "LRCCell",
    "LSTMCell",
    "LearnedRate",
    "MinimalGatedCell",
    "OrthogonalDiagonalWeight",
    "Packed",
    "Recurrent",
    "ScaledWeight",
    "Stacked",
    "WarmStart",
    "pack",
    "stack",
    "states_of",
]
