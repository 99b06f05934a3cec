"""The paper's tables and figures, one file each: a configuration, ``run``, ``claims`` and ``figure``."""
