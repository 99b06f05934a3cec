"""How fast the library is: ratios inside one process and one run, against `lax.scan` and published-style methods."""
