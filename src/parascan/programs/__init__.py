"""Traced programs: closing over arrays, batching, counting work, analyses; all that knows a primitive's name."""
