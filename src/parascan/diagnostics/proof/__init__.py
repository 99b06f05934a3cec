"""Proofs that two states approach each other in every step, whatever they are."""

from .prove import prove_contraction as prove_contraction
from .proven_contraction import ProvenContraction as ProvenContraction
