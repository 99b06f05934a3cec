"""How experiments run: points, stores, workers, claims and the page of results."""
