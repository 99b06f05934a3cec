"""The state file of a stream: how far it has come, stored so that it goes on with the same bits."""

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..solution import Tree

FORMAT = 3
"""Version of the file's layout."""


class Mark(NamedTuple):
    """Where a stream stands: how many steps are done, the carry after them, the guess for the window that follows."""

    position: int
    carry: Tree
    guess: Tree


def save_mark(path: Path, mark: Mark, setting: dict[str, Any]) -> None:
    """Write a state file so that at every moment there is a whole one, whenever the process ends.

    Args:
        path: where to.
        mark: where the stream stands.
        setting: what must be the same when it is read again, as JSON.
    """
    leaves = [_raw(leaf) for leaf in jax.tree.leaves((mark.carry, mark.guess))]
    head = json.dumps({"format": FORMAT, "position": mark.position, **setting})
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        arrays: dict[str, Any] = {f"leaf{index}": leaf for index, leaf in enumerate(leaves)}
        np.savez(file, head=np.frombuffer(head.encode(), np.uint8), **arrays)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


class Seen:
    """A fingerprint of the rows of inputs read so far; it does not depend on the pieces they were read in."""

    def __init__(self) -> None:
        self.hashes: list[Any] = []

    def add(self, rows: Tree) -> None:
        """Take more rows in.

        Args:
            rows: arrays with a leading axis.
        """
        leaves = jax.tree.leaves(rows)
        self.hashes = self.hashes or [hashlib.blake2b(digest_size=16) for _ in leaves]
        for each, leaf in zip(self.hashes, leaves, strict=True):
            each.update(_raw(leaf))

    def digest(self) -> str:
        """The fingerprint of all rows so far."""
        return "".join(each.hexdigest() for each in self.hashes)


def fingerprint(tree: Tree) -> str:
    """A fingerprint of the values of a tree of arrays.

    Args:
        tree: the arrays.
    """
    seen = Seen()
    seen.add(tree)
    return seen.digest()


def load_mark(path: Path, like: Mark, setting: dict[str, Any]) -> tuple[Mark, str] | None:
    """The mark that a state file holds and the fingerprint of the inputs before it, or None where there is no file.

    Args:
        path: where from.
        like: a mark of the same structure, shapes and dtypes.
        setting: what the file must have been written under.

    Raises:
        ValueError: the file belongs to another stream: its format, window, solver, carry or initial carry differs.
    """
    if not path.exists():
        return None
    try:
        with path.open("rb") as stored_file, np.load(stored_file) as file:
            head = json.loads(file["head"].tobytes())
            stored = [file[f"leaf{index}"] for index in range(len(file.files) - 1)]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"state_file: given {path}, no state file, expected one that stream wrote.") from error
    for name, expected in {"format": FORMAT, **setting}.items():
        if head.get(name) != expected and name == "init":
            raise ValueError(
                f"state_file: given {path}, written for another init of the same shapes, expected the init that it was "
                "started with. Give that one, or remove the file to start anew."
            )
        if head.get(name) != expected and name == "processes":
            raise ValueError(
                f"state_file: given {path}, written by {head.get(name)} process(es), expected as many as now, "
                f"{expected}. Go on with as many as before, or remove the files to start anew."
            )
        if head.get(name) != expected:
            raise ValueError(
                f"state_file: given {path}, written with {name} {head.get(name)!r}, expected {expected!r}. Remove the "
                "file to start anew."
            )
    leaves, treedef = jax.tree.flatten((like.carry, like.guess))
    restored = [_restored(raw, leaf) for raw, leaf in zip(stored, leaves, strict=True)]
    carry, guess = jax.tree.unflatten(treedef, restored)
    return Mark(head["position"], carry, guess), head["inputs"]


def _raw(leaf: Any) -> np.ndarray:
    """The bytes of an array, whatever its dtype."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.frombuffer(np.ascontiguousarray(leaf).tobytes(), np.uint8)


def _restored(raw: np.ndarray, like: Any) -> Any:
    """The array that was stored as these bytes."""
    if jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(_restored(raw, jax.random.key_data(like)), impl=jax.random.key_impl(like))
    return jnp.asarray(np.frombuffer(raw.tobytes(), like.dtype).reshape(like.shape))
