"""Real recordings as long sequences of one length."""

import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import parascan as ps


class Split(NamedTuple):
    """Sequences of one length ``[N, T, C]`` with the index of each one's class ``[N]``."""

    xs: NDArray[np.floating]
    labels: NDArray[np.integer]


class Recordings(NamedTuple):
    """What a model is trained and judged on."""

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]


def find(name: str, part: str) -> Path:
    """The file of a data set that aeon brings, or of a local archive given by the start of its path.

    Raises:
        FileNotFoundError: it is neither.
    """
    local = Path(f"{name}_{part}.ts")
    if local.exists():
        return local
    package = importlib.util.find_spec("aeon")
    if package is not None and package.submodule_search_locations:
        path = Path(package.submodule_search_locations[0], "datasets", "data", name, f"{name}_{part}.ts")
        if path.exists():
            return path
    raise FileNotFoundError(
        f"data: given {name!r}, expected a set that aeon brings, such as JapaneseVowels or BasicMotions (make "
        f"train-demo installs it), or the path of a local archive up to _{part}.ts."
    )


def load(name: str, length: int, count: int, seed: int) -> Recordings:
    """Long sequences of a data set, each channel with mean zero and deviation one over the training recordings.

    Recordings shorter than ``length`` are put one after the other, drawn from those of the same class in the same part
    of the data; longer ones are cut. No test recording is ever part of a training sequence.

    Args:
        name: data set of aeon, or path of a local archive without ``_TRAIN.ts``.
        length: T, steps of a sequence.
        count: sequences of each part, at most; as many of each class.
        seed: of the draws.
    """
    parts = [ps.nn.read_ts(find(name, part)) for part in ("TRAIN", "TEST")]
    rows = np.concatenate(parts[0].values)
    mean, deviation = np.nanmean(rows, axis=0), np.nanstd(rows, axis=0) + 1e-6
    random = np.random.default_rng(seed)
    splits = []
    for part in parts:
        scaled = [np.nan_to_num((values - mean) / deviation) for values in part.values]
        splits.append(lengthen(scaled, part.labels, length, count, random))
    return Recordings(Path(name).name, splits[0], splits[1], parts[0].classes)


def lengthen(recordings: list[NDArray], labels: NDArray, length: int, count: int, random: np.random.Generator) -> Split:
    """Sequences of one length, as many of each class, made of whole recordings of that class."""
    kinds = np.unique(labels)
    xs, ys = [], []
    for kind in kinds:
        own = [recordings[index] for index in np.flatnonzero(labels == kind)]
        for _ in range(max(count // len(kinds), 1)):
            rows, total = [], 0
            while total < length:
                rows.append(own[random.integers(len(own))])
                total += len(rows[-1])
            xs.append(np.concatenate(rows)[:length])
            ys.append(kind)
    order = random.permutation(len(ys))
    return Split(np.stack(xs)[order].astype("float32"), np.asarray(ys)[order])
