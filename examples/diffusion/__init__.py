"""Samples of a diffusion model in parallel over its steps: a mixture whose score is known, and handwritten digits."""
