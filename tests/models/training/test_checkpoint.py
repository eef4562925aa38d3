"""Finished steps of a training."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from recsys_cli.models.training.checkpoint import StepCheckpoint

Make = Callable[[Path], Mapping[str, Any]]


def counted() -> tuple[list[int], Make]:
    """Return a list that grows with every making of the step, and the making."""
    made: list[int] = []

    def make(folder: Path) -> Mapping[str, Any]:
        made.append(len(made))
        (folder / "rows.bin").write_bytes(bytes(range(10)))
        return {"rows": len(made)}

    return made, make


def test_a_finished_step_is_made_once(tmp_path: Path) -> None:
    made, make = counted()
    assert not StepCheckpoint(tmp_path).has("rows")
    first = StepCheckpoint(tmp_path).step("rows", make)
    again = StepCheckpoint(tmp_path).step("rows", make)  # of another process
    assert made == [0] and first == again and again.facts == {"rows": 1}
    assert (again.folder / "rows.bin").read_bytes() == bytes(range(10))
    assert StepCheckpoint(tmp_path).has("rows") and not StepCheckpoint(tmp_path).has("ranker")


@pytest.mark.parametrize("damage", ["a bit flipped", "cut", "gone", "a link", "other facts", "no JSON"])
def test_a_damaged_step_is_made_again(tmp_path: Path, damage: str) -> None:
    made, make = counted()
    folder = StepCheckpoint(tmp_path).step("rows", make).folder
    file, facts = folder / "rows.bin", folder / "step.json"
    match damage:
        case "a bit flipped":
            file.write_bytes(b"\x01" + bytes(range(1, 10)))
        case "cut":
            file.write_bytes(bytes(range(9)))
        case "gone":
            file.unlink()
        case "a link":
            file.rename(tmp_path / "elsewhere")
            file.symlink_to(tmp_path / "elsewhere")
        case "other facts":
            facts.write_text(facts.read_text().replace('"rows": 1', '"rows": 7'))
        case "no JSON":
            facts.write_bytes(b"\x00")
    assert StepCheckpoint(tmp_path).step("rows", make).facts == {"rows": 2}
    assert StepCheckpoint(tmp_path).step("rows", make).facts == {"rows": 2} and made == [0, 1]


def test_a_step_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> Mapping[str, Any]:
        (folder / "half").write_bytes(b"x")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        StepCheckpoint(tmp_path / "steps").step("rows", fail)
    assert not list((tmp_path / "steps").iterdir())


def test_a_training_that_became_a_model_leaves_no_steps(tmp_path: Path) -> None:
    _, make = counted()
    checkpoint = StepCheckpoint(tmp_path / "steps")
    checkpoint.step("rows", make)
    checkpoint.remove()
    assert not (tmp_path / "steps").exists()
