"""Labeled sequences from the text files of the UEA and UCR archives."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Sequence: TypeAlias = NDArray[np.floating]


class LabeledSequences(NamedTuple):
    """Sequences with a class each.

    Attributes:
        values: one array ``[T_k, C]`` for each sequence.
        labels: index of each sequence's class in ``classes`` ``[N]``, -1 where the file names none.
        classes: names of the classes.
    """

    values: list[Sequence]
    labels: NDArray[np.integer]
    classes: tuple[str, ...]


def read_ts(path: str | os.PathLike[str], *, dtype: Any = "float32") -> LabeledSequences:
    r"""Sequences of a local ``.ts`` file, as the UEA and UCR archives have them (EigenWorms, BasicMotions, ...).

    A line of the file is a sequence: channels separated by colons, values by commas, the class last. Sequences may
    differ in length, channels of one sequence may not. A question mark is a missing value and becomes NaN.

    Args:
        path: the file, such as ``EigenWorms_TRAIN.ts``.
        dtype: floating dtype of the values.

    Returns:
        The sequences, labels and class names in the order of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line that is not in this form, with its number; files with time stamps.

    Examples:
        >>> import tempfile, pathlib
        >>> from parascan import nn
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "small.ts"
        >>> _ = file.write_text("@classLabel true walk run\n@data\n1,2,3:4,5,6:run\n7,8:9,?:walk\n")
        >>> read = nn.read_ts(file)
        >>> [values.shape for values in read.values], read.labels.tolist(), read.classes
        ([(3, 2), (2, 2)], [1, 0], ('walk', 'run'))
    """
    source = Path(path)
    with source.open(encoding="utf-8") as file:
        lines = ((number, line.strip()) for number, line in enumerate(file, 1))
        lines = ((number, line) for number, line in lines if line and not line.startswith("#"))
        classes = _header(lines, source)
        values, labels = [], []
        for number, line in lines:
            channels = line.split(":")
            label = channels.pop() if classes else ""
            if classes and label not in classes:
                raise ValueError(
                    f"{source.name}, line {number}: given class {label[:40]!r}, expected one of {classes}."
                )
            values.append(_sequence(channels, dtype, f"{source.name}, line {number}"))
            labels.append(classes.index(label) if classes else -1)
    if not values:
        raise ValueError(f"{source.name}: given no sequence after @data, expected one a line.")
    channels = values[0].shape[1]
    for index, sequence in enumerate(values):
        if sequence.shape[1] != channels:
            raise ValueError(
                f"{source.name}, sequence {index + 1}: given {sequence.shape[1]} channels, expected {channels}, as in "
                "the first."
            )
    return LabeledSequences(values, np.asarray(labels), classes)


def _header(lines: Iterator[tuple[int, str]], source: Path) -> tuple[str, ...]:
    """Class names; reads up to the line that ends the header."""
    classes: tuple[str, ...] = ()
    for number, line in lines:
        word, *rest = line.split()
        key = word.lower()
        if key == "@data":
            return classes
        if not key.startswith("@"):
            raise ValueError(f"{source.name}, line {number}: given {line[:40]!r}, expected a line of the header.")
        flag = rest[0].lower() if rest else ""
        if key == "@timestamps" and flag == "true":
            raise ValueError(f"{source.name}, line {number}: given time stamps, expected equally spaced values.")
        if key == "@targetlabel" and flag == "true":
            raise ValueError(f"{source.name}, line {number}: given numbers to predict, expected classes.")
        if key == "@classlabel" and flag == "true":
            classes = tuple(rest[1:])
    raise ValueError(f"{source.name}: given no @data line, expected one after the header.")


def _sequence(channels: list[str], dtype: Any, where: str) -> Sequence:
    """One sequence from the text of its channels."""
    try:
        parsed = [np.array(text.replace("?", "nan").split(","), dtype) for text in channels]
    except ValueError as error:
        raise ValueError(f"{where}: given a value that is no number ({error}), expected numbers or '?'.") from error
    lengths = {len(channel) for channel in parsed}
    if len(lengths) != 1:
        raise ValueError(f"{where}: given channels of {sorted(lengths)} values, expected one length.")
    return np.stack(parsed, axis=1)
