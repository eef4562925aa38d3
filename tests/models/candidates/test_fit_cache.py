"""Fits that several trainings share."""

import io
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest

from recsys_cli.models.candidates.fit_cache import Arrays, FitCache, Make, PartialFit

SHAPES = {"vectors": (2, 3), "biases": (2,)}


def numbered() -> tuple[list[int], Make]:
    """Return a list that grows with every fit, and the fit."""
    made: list[int] = []

    def fit(_partial: PartialFit) -> Arrays:
        made.append(len(made))
        return {"vectors": np.full((2, 3), len(made), dtype=np.float32), "biases": np.zeros(2, np.float32)}

    return made, fit


def test_the_second_time_nothing_is_learnt(tmp_path: Path) -> None:
    made, fit = numbered()
    first = FitCache(tmp_path)("lightfm-a", SHAPES, fit)
    again = FitCache(tmp_path)("lightfm-a", SHAPES, fit)  # of another run
    assert made == [0] and set(first) == set(again)
    for name, array in first.items():
        assert again[name].dtype == array.dtype and np.array_equal(again[name], array)
    FitCache(tmp_path)("lightfm-b", SHAPES, fit)
    assert made == [0, 1]


@pytest.mark.parametrize("damage", ["cut", "empty", "no archive", "a bit flipped"])
def test_a_damaged_fit_is_made_again(tmp_path: Path, damage: str) -> None:
    made, fit = numbered()
    FitCache(tmp_path)("one", SHAPES, fit)
    file = tmp_path / "one.npz"
    whole = file.read_bytes()
    place = whole.index(b"\x93NUMPY") + 140  # among the numbers
    flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    damaged = {"cut": whole[:-60], "empty": b"", "no archive": b"x" * 99, "a bit flipped": flipped}
    file.write_bytes(damaged[damage])

    again = FitCache(tmp_path)("one", SHAPES, fit)

    assert made == [0, 1] and again["vectors"][0, 0] == 2
    FitCache(tmp_path)("one", SHAPES, fit)
    assert made == [0, 1]


def archive(compression: int = 0, **files: bytes) -> bytes:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w", compression) as written:
        for name, data in files.items():
            written.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def array_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def declared(shape: tuple[int, ...]) -> bytes:
    """Return an array file of 8 bytes that says that it has this shape."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return buffer.getvalue() + bytes(8)


BIASES = array_bytes(np.zeros(2, np.float32))
FORGED = {
    "larger than any memory": archive(vectors=declared((10**15, 3)), biases=BIASES),
    "much larger than the file": archive(
        ZIP_DEFLATED, vectors=array_bytes(np.zeros((5_000, 3), np.float32)), biases=BIASES
    ),
    "of other names": archive(weights=array_bytes(np.zeros((2, 3), np.float32)), biases=BIASES),
    "of other shapes": archive(vectors=array_bytes(np.zeros((3, 3), np.float32)), biases=BIASES),
    "of other numbers": archive(vectors=array_bytes(np.zeros((2, 3))), biases=BIASES),
    "of objects": archive(vectors=array_bytes(np.full((2, 3), None)), biases=BIASES),
}


@pytest.mark.parametrize("data", FORGED.values(), ids=FORGED)
def test_a_forged_fit_is_made_again(tmp_path: Path, data: bytes) -> None:
    made, fit = numbered()
    (tmp_path / "one.npz").write_bytes(data)
    assert FitCache(tmp_path)("one", SHAPES, fit)["vectors"].shape == (2, 3)
    assert made == [0]


def test_a_fit_that_leads_out_of_the_folder_is_made_again(tmp_path: Path) -> None:
    made, fit = numbered()
    FitCache(tmp_path / "theirs")("one", SHAPES, fit)
    link = tmp_path / "ours/one.npz"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "theirs/one.npz")
    FitCache(tmp_path / "ours")("one", SHAPES, fit)
    assert made == [0, 1] and not link.is_symlink()


def test_the_oldest_fits_go_first(tmp_path: Path) -> None:
    _, fit = numbered()
    cache = FitCache(tmp_path)
    for number in range(66):
        cache(f"fit-{number}", SHAPES, fit)
    assert len(list(tmp_path.glob("*.npz"))) == 64
    assert (tmp_path / "fit-65.npz").exists()


def test_the_oldest_fits_go_where_they_take_too_much(tmp_path: Path) -> None:
    _, fit = numbered()
    FitCache(tmp_path)("one", SHAPES, fit)
    size = (tmp_path / "one.npz").stat().st_size
    cache = FitCache(tmp_path, most_bytes=2 * size)
    for name in ("two", "three", "four"):
        cache(name, SHAPES, fit)
    assert sorted(file.stem for file in tmp_path.glob("*.npz")) == ["four", "three"]
    FitCache(tmp_path, most_bytes=1)("five", SHAPES, fit)
    assert [file.stem for file in tmp_path.glob("*.npz")] == ["five"]


def test_a_fit_that_was_stopped_finds_what_it_stored_and_leaves_nothing_when_it_is_done(
    tmp_path: Path,
) -> None:
    found: list[Arrays | None] = []

    def fit(partial: PartialFit) -> Arrays:
        found.append(partial.read())
        partial.write({"epoch": np.array([len(found)]), "vectors": np.full(3, 0.5, np.float32)})
        if len(found) < 3:
            raise KeyboardInterrupt
        return {"vectors": np.ones((2, 3), np.float32), "biases": np.zeros(2, np.float32)}

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            FitCache(tmp_path)("one", SHAPES, fit)
    FitCache(tmp_path)("one", SHAPES, fit)

    assert found[0] is None
    assert [int(one["epoch"][0]) for one in found[1:] if one is not None] == [1, 2]
    assert [file.name for file in tmp_path.iterdir()] == ["one.npz"]
