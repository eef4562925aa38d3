"""What the nodes of a cluster are sent."""

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from recsys_cli.pipelines.scoring.ray_node_files import materialise


def place(files: Mapping[str, bytes]) -> Path:
    hashes = {name: hashlib.sha256(held).hexdigest() for name, held in files.items()}
    return materialise(files, hashes, lambda held: [np.frombuffer(held, dtype=np.uint8)])


def test_runs_with_other_files_do_not_take_each_others_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one, other = {"model/ranker.json": b"one", "features/users.parquet": b"u"}, {"model/ranker.json": b"two"}
    first, second = place(one), place(other)
    assert (first / "model/ranker.json").read_bytes() == b"one"
    assert (second / "model/ranker.json").read_bytes() == b"two"
    assert place(one) == first != second


def test_damaged_files_are_placed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = place({"model/ranker.json": b"one"})
    (folder / "model/ranker.json").write_bytes(b"ono")
    assert place({"model/ranker.json": b"one"}) == folder
    assert (folder / "model/ranker.json").read_bytes() == b"one"
