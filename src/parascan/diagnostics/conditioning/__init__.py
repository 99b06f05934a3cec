"""How well conditioned the problem of a whole trajectory is."""
