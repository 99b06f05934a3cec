"""How figures are drawn; matplotlib is imported when one is drawn and not before."""
