"""``python -m parascan``: the command ``parascan``."""

from .cli import main

main()
