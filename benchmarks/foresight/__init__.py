"""The judgement of the foretelling: systems of every kind, their truth, what ``diagnose`` says, and a table."""
