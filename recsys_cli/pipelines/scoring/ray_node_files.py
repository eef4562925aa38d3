"""Files that a cluster's nodes are sent: written once a node, for all of its workers."""

import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TypeVar

import numpy as np

from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.storage.atomic_writes import as_output_error
from recsys_cli.utils.storage.folder_checks import private_folder
from recsys_cli.utils.storage.hashing import sha256_of, sha256_of_json
from recsys_cli.utils.storage.leftovers import remove_unused
from recsys_cli.utils.storage.locks import locked

_ABANDONED_SECONDS = 86_400
_SECONDS = 3_600  # that another worker of the node may take to write the files

Block = TypeVar("Block")


def materialise(
    files: Mapping[str, Block],
    hashes: Mapping[str, str],
    received: Callable[[Block], Iterable[np.ndarray]],
) -> Path:
    """Return this node's folder of the files; a worker that does not find them whole writes them.

    Other files get another folder, so that concurrent runs do not remove each other's.

    Args:
        files: a path below the folder = what `received` makes the file's bytes of; hashes: their SHA-256.

    Raises: OutputError where they cannot be written.
    """
    home = private_folder("recsys-cluster")
    if home is None:
        raise OutputError(
            "no private folder of this user can be made among the temporary files",
            where="TMPDIR of a worker",
            fix="remove recsys-cluster-* there: it belongs to somebody else",
        )
    folder = home / sha256_of_json(hashes)
    with locked(home / f"{folder.name}.lock", "the files of a node", _SECONDS):
        if not all(_matches(folder / name, expected) for name, expected in hashes.items()):
            _remove_abandoned(home, folder.name)
            shutil.rmtree(folder, ignore_errors=True)
            with as_output_error(folder):
                _write(folder, files, received)
    return folder


def _matches(file: Path, expected: str) -> bool:
    return file.is_file() and sha256_of(file) == expected


def _write(
    folder: Path, files: Mapping[str, Block], received: Callable[[Block], Iterable[np.ndarray]]
) -> None:
    for name, blocks in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            for block in received(blocks):
                file.write(block.data)


def _remove_abandoned(home: Path, own: str) -> None:
    """Remove what earlier runs were sent, a day ago or more; the caller holds the lock of `own`."""
    remove_unused(
        home,
        _ABANDONED_SECONDS,
        lambda name: nullcontext() if name == own else locked(home / f"{name}.lock", name),
    )
