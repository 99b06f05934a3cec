"""How far a trajectory may be from the true one: a bound, and what it rests on."""
