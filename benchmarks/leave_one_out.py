"""The leave-one-out estimate of a diagonal against ``StochasticDiagonal``'s: ``python -m benchmarks.leave_one_out``.

XDiag (Epperly, Tropp and Webber 2024, algorithm 4.2) spends half of its products on the transposed matrix. Both get as
many products here, for the same steps and starts, and what is compared is the number of updates of quasi-Newton until
the residual of every step is below 1e-6, beside the error of the estimates. Counts alone; NumPy, so that nothing is
compiled.
"""

from collections.abc import Callable, Iterator

import numpy as np

LENGTH, SIZE, RUNS = 128, 32, 5
PRODUCTS = (2, 4, 8, 16)
TOLERANCE = 1e-6

Estimate = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def signs(draws: np.random.Generator, *shape: int) -> np.ndarray:
    """Random signs."""
    return draws.choice([-1.0, 1.0], shape)


def exact(matrices: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    """The diagonals themselves."""
    return np.einsum("tii->ti", matrices)


def plain(products: int) -> Estimate:
    """``StochasticDiagonal``'s estimate."""

    def estimate(matrices: np.ndarray, draws: np.random.Generator) -> np.ndarray:
        vectors = signs(draws, products, *matrices.shape[:2])
        return np.mean(vectors * np.einsum("tij,ptj->pti", matrices, vectors), axis=0)

    return estimate


def leave_one_out(products: int) -> Estimate:
    """XDiag's estimate."""

    def estimate(matrices: np.ndarray, draws: np.random.Generator) -> np.ndarray:
        vectors = signs(draws, *matrices.shape[:2], products // 2)
        images = matrices @ vectors
        basis, triangle = np.linalg.qr(images)
        # Where the images depend on one another, a shift far below their size lets the triangle be inverted.
        shift = 1e-14 * np.abs(triangle).max(axis=(1, 2), keepdims=True) + 1e-300
        left_out = np.swapaxes(np.linalg.inv(triangle + shift * np.eye(products // 2)), 1, 2)
        left_out = left_out / np.linalg.norm(left_out, axis=1, keepdims=True)
        back = np.swapaxes(matrices, 1, 2) @ basis
        shares = np.swapaxes(back, 1, 2) @ vectors
        projected = np.sum(basis * back, axis=2)[:, :, None] - (basis @ left_out) * (back @ left_out)
        rest = images - basis @ (shares - left_out * np.sum(left_out * shares, axis=1, keepdims=True))
        return np.mean(projected + vectors * rest, axis=2)

    return estimate


class Network:
    """A network ``s' = keep s + (1 - keep) tanh(W s + x)`` under random inputs."""

    def __init__(self, weights: np.ndarray, keep: float):
        self.weights, self.keep = weights, keep
        self.inputs = np.random.default_rng(1).standard_normal((LENGTH, SIZE))

    def steps(self, before: np.ndarray) -> np.ndarray:
        """The state after each of the given ones."""
        return self.keep * before + (1 - self.keep) * np.tanh(before @ self.weights.T + self.inputs)

    def jacobians(self, before: np.ndarray) -> np.ndarray:
        """Derivatives of the steps there."""
        slopes = (1 - self.keep) * (1 - np.tanh(before @ self.weights.T + self.inputs) ** 2)
        return self.keep * np.eye(SIZE) + slopes[:, :, None] * self.weights

    def updates(self, estimate: Estimate, seed: int = 0) -> int:
        """Updates of quasi-Newton from zero, of at most T."""
        draws, states = np.random.default_rng(seed), np.zeros((LENGTH, SIZE))
        for count in range(LENGTH):
            before = np.vstack([np.zeros((1, SIZE)), states[:-1]])
            residuals = self.steps(before) - states
            if np.abs(residuals).max() < TOLERANCE:
                return count
            diagonals, change = estimate(self.jacobians(before), draws), np.zeros(SIZE)
            for t in range(LENGTH):
                change = diagonals[t] * change + residuals[t]
                states[t] += change
        return LENGTH

    def error(self, estimate: Estimate) -> float:
        """Root mean square error of an estimate of the diagonals, at random states."""
        draws = np.random.default_rng(2)
        matrices = self.jacobians(0.3 * draws.standard_normal((LENGTH, SIZE)))
        return float(np.sqrt(np.mean((estimate(matrices, draws) - exact(matrices, draws)) ** 2)))


def networks() -> Iterator[tuple[str, Network]]:
    """Networks with weights of full and of low rank, alone and beside a diagonal."""
    draws = np.random.default_rng(0)
    full = draws.standard_normal((SIZE, SIZE)) / SIZE**0.5
    low = draws.standard_normal((SIZE, 2)) @ draws.standard_normal((2, SIZE)) / SIZE
    diagonal = np.diag(draws.uniform(0.2, 0.9, SIZE))
    yield "full weights", Network(0.6 * full, 0.0)
    yield "weights of rank 2", Network(low, 0.0)
    yield "diagonal + full", Network(diagonal + 0.2 * full, 0.0)
    yield "diagonal + rank 2", Network(diagonal + 0.5 * low, 0.0)
    yield "keeps 0.9, full", Network(0.8 * full, 0.9)
    yield "keeps 0.9, rank 2", Network(1.5 * low, 0.9)


def main() -> None:
    """Print the table."""
    print("| network | exact | " + " | ".join(f"{products} products" for products in PRODUCTS) + " |")
    print("|---|---|" + "---|" * len(PRODUCTS))
    for name, network in networks():
        row = []
        for products in PRODUCTS:
            pair = plain(products), leave_one_out(products)
            counts = [int(np.median([network.updates(each, seed) for seed in range(RUNS)])) for each in pair]
            errors = [network.error(each) for each in pair]
            row.append("{} or {} ({:.2g}, {:.2g})".format(*counts, *errors))
        print(f"| {name} | {network.updates(exact)} | " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
