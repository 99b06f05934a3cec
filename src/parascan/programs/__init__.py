"""Traced programs: closed over, batched, counted, analyzed. Whatever knows a primitive's name is here."""
