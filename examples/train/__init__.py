"""Train recurrent classifiers on real recordings, in parallel over their length and one step after the other."""
