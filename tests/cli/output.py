"""What a command printed, as tests compare it."""


def plain(result):
    """Output without line breaks and frames, which depend on the width of the terminal."""
    return " ".join(result.output.replace("│", " ").split())
