"""How an answer is differentiated."""
