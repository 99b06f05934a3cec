"""Examples that are run by make."""
