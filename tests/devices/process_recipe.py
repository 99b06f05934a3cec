"""One of several processes of a recipe: Python blocks of the page, in the order in which they are named."""

import sys
from pathlib import Path

for block in sys.argv[1:]:
    exec(compile(Path(block).read_text(), block, "exec"))  # defines what the block after it uses
