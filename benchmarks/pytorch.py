"""`python -m benchmarks.pytorch`: layers of `parascan.torch` against `torch.nn.GRU` and `LSTM`, in one run.

It needs PyTorch, which `make torch` installs, and prints a table; the outputs are compared first.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch

from parascan.torch import Layer, from_torch

from .harness import Ratio, compare

LENGTH, FEATURES, UNITS = 17984, 6, 64
CLOSE = 1e-4
"""Difference of float32 outputs and of gradients relative to their largest entry, over the sequence."""


def program(layer: Any, xs: torch.Tensor, backward: bool) -> Callable[[], Any]:
    """Outputs of a layer, or the gradients of a loss of theirs with respect to its weights."""

    def outputs() -> list[torch.Tensor]:
        with torch.no_grad():
            return [layer(xs)[0]]

    def gradients() -> list[torch.Tensor]:
        return list(torch.autograd.grad(layer(xs)[0].square().mean(), list(layer.parameters())))

    return gradients if backward else outputs


def agree(layer: Any, original: Any, xs: torch.Tensor) -> None:
    """Refuse to time what gives other outputs."""
    mine, theirs = (program(each, xs, backward=False)()[0] for each in (layer, original))
    error = float((mine - theirs).abs().max() / theirs.abs().max())
    if not error <= CLOSE:
        raise AssertionError(f"outputs differ by {error:.1e} of the largest entry, expected {CLOSE:.0e}")


def measure(kind: str, batch: int, backward: bool, T: int, rounds: int) -> Ratio:
    """How many times as fast the layer is as PyTorch's own, which it was made from."""
    torch.manual_seed(0)
    original = getattr(torch.nn, kind)(FEATURES, UNITS, batch_first=True)
    layer = Layer(from_torch(original))
    xs = torch.randn(batch, T, FEATURES)
    agree(layer, original, xs)
    return compare(program(layer, xs, backward), program(original, xs, backward), rounds)


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=LENGTH, help="steps of a sequence")
    parser.add_argument("--rounds", type=int, default=7, help="rounds in which both sides take turns")
    options = parser.parse_args()
    about = f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    print(f"{about}, T = {options.length}, {UNITS} units, float32\n")
    print("| layer | batch | | of ours to PyTorch's speed (quartiles) | ours, ms |\n|---|---|---|---|---|")
    for kind in ("GRU", "LSTM"):
        for batch in (1, 16):
            for backward in (False, True):
                found = measure(kind, batch, backward, options.length, options.rounds)
                direction = "forward and gradient" if backward else "forward"
                spread = f"{found.median:.2f} ({found.low:.2f} to {found.high:.2f})"
                print(f"| {kind} | {batch} | {direction} | {spread} | {1000 * found.seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
