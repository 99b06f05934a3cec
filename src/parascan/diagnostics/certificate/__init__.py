"""``certify``: a bound on how far a trajectory may be from the true one, and what the bound rests on."""
