"""Derivatives of an answer: implicit ones by default, those of the iterations or of the plain loop where asked for."""
