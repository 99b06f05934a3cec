"""``conditioning``: how well conditioned the problem of a whole trajectory is, measured and by theory."""
