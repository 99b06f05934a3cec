"""What is said where an optional package is missing: the line that installs it."""


def missing(package: str, purpose: str, extra: str) -> str:
    """A sentence for the error.

    The name of this package is not on an index yet; what installs its extras is a clone.

    Args:
        package: that is missing.
        purpose: what needs it, with its verb, such as ``"pictures need"``.
        extra: of this package, which brings it.
    """
    return f"{package} is not installed, and {purpose} it: pip install '.[{extra}]' in a clone of parascan"
