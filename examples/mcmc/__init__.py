"""Two posteriors, foretold, warmed up, sampled over their length and checked."""
