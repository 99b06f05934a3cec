"""Programs compiled for an accelerator that need not be there: what they launch and move, and seconds by a model."""
