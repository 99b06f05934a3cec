"""Layers of a network as a sequence: exponents along depth, updates, and what stopping early does to gradients."""
