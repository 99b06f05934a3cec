"""The paper's tables and figures and what goes beyond them, one file each, which ends with its ``EXPERIMENT``."""
