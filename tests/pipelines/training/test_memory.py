"""`runtime.max_memory` holds for a training: fewer fits side by side, fewer rows, or a refusal."""

import json
import re
import subprocess
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from recsys_cli.configs.loader import load_settings
from recsys_cli.configs.sections import Settings
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.contract import Tables, read_tables
from recsys_cli.models.candidates.fit_cache import Arrays, Make, NothingStored, PartialFit, Shapes
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.models.training.lightfm_fits import LimitedFits
from recsys_cli.pipelines.training.memory import (
    LightFMMemory,
    TrainingBounds,
    TrainingMemory,
    training_bounds,
    training_memory,
)
from recsys_cli.utils.errors import ExitCode, OutputError, SettingsError

Recsys = Callable[..., subprocess.CompletedProcess[str]]
DAY = date(2010, 11, 26)
LIGHT = (
    "candidates.lightfm.epochs=2",
    "candidates.lightfm.no_components=16",
    "ranker.label_windows=2",
    "ranker.iterations=20",
    "ranker.members=1",
)
PLENTY = "1TB"


@pytest.fixture(scope="module")
def root(retail_sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of real purchases that trains lightly."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "settings").mkdir()
    (folder / "settings/settings.toml").write_text(
        "[default.data]\n"
        + "".join(
            f"[default.data.{name}]\npath = '{retail_sample}/{name}.parquet'\n"
            for name in ("interactions", "users", "items")
        )
    )
    return folder


def settings_with(root: Path, max_memory: str) -> Settings:
    """Return the light settings with a bound of the memory."""
    return load_settings(root, None, (*LIGHT, f"runtime.max_memory={max_memory}"), settings_tree()).settings


@pytest.fixture(scope="module")
def tables(root: Path) -> Tables:
    settings = settings_with(root, "")
    return read_tables(settings.data, InputFolder(root), DAY, settings.timezone)


def with_components(settings: Settings, components: int) -> Settings:
    """Return the settings with a LightFM of other width."""
    lightfm = settings.candidates.lightfm.model_copy(update={"no_components": components})
    candidates = settings.candidates.model_copy(update={"lightfm": lightfm})
    return settings.model_copy(update={"candidates": candidates})


def megabytes(amount: float) -> str:
    return f"{amount / 1e6:.6f}MB"


def test_the_bytes_of_a_training_by_hand() -> None:
    fit = LightFMMemory.of(users=600, items=400, pairs=100, components=9)
    assert fit == LightFMMemory(model=40_000, learning=80_000 + 6_400)
    small, large = LightFMMemory(10, 20), LightFMMemory(100, 200)
    memory = TrainingMemory(1_000, 500, row=3, window_fit=small, final_fit=large, windows=2)
    assert memory.finished_fits == 10 + 10 + 100
    assert [memory.learning(fits) for fits in (1, 2, 3, 9)] == [200, 220, 240, 240]
    assert memory.total(TrainingBounds(rows=7, fits=1)) == 1_000 + 500 + 120 + 200
    assert memory.total(TrainingBounds(rows=100, fits=1)) == 1_000 + 500 + 120 + 300


def test_without_a_bound_a_training_is_refused_that_the_machine_has_no_room_for(
    root: Path, tables: Tables
) -> None:
    with pytest.raises(
        OutputError, match=r"this training needs about 1152921504\.61 GB of memory; [\d.]+ GB can"
    ):
        training_bounds(tables, settings_with(root, ""), 4, taken=1 << 60)


def test_without_a_bound_the_settings_hold(root: Path, tables: Tables) -> None:
    for plenty in ("", PLENTY):
        settings = settings_with(root, plenty)
        assert training_bounds(tables, settings, 4) == TrainingBounds(settings.ranker.max_train_rows, 4)


def test_rows_and_fits_grow_with_the_memory(root: Path, tables: Tables) -> None:
    memory = training_memory(tables, settings_with(root, ""), 4)
    least, most = (memory.total(bounds) for bounds in (TrainingBounds(10_000, 1), TrainingBounds(60_000, 4)))
    found = []
    for amount in np.linspace(least + 1, most, 40):
        bounds = training_bounds(tables, settings_with(root, megabytes(amount)), 4)
        assert memory.total(bounds) <= amount + 1 or bounds.rows == 1_000_000
        found.append(bounds)
    assert found[0].rows == 10_000 and found[-1] == TrainingBounds(1_000_000, 4)
    assert [one.rows for one in found] == sorted(one.rows for one in found)
    assert [one.fits for one in found] == sorted(one.fits for one in found)
    assert len({one.rows for one in found}) > 5


def test_fits_need_memory_too(root: Path, tables: Tables) -> None:
    wide = with_components(settings_with(root, ""), 1024)
    memory = training_memory(tables, wide, 4)
    amount = megabytes(memory.total(TrainingBounds(0, 2)) + 1)
    bounded = with_components(settings_with(root, amount), 1024)
    assert training_bounds(tables, bounded, 4).fits == 2


def test_the_least_that_has_no_room_is_reported(root: Path, tables: Tables) -> None:
    with pytest.raises(
        SettingsError, match=r"leaves no room for this training: about .* GB are needed"
    ) as raised:
        training_bounds(tables, settings_with(root, "1MB"), 4)
    enough = re.search(r"set at least ([\d.]+GB)", raised.value.fix)
    assert enough is not None
    assert training_bounds(tables, settings_with(root, enough[1]), 4).rows >= 10_000


def test_so_many_fits_at_a_time_are_made_and_what_is_kept_is_returned() -> None:
    made, under_way, most, lock = [], [0], [0], threading.Lock()

    def kept(key: str, _shapes: Shapes, make: Make) -> Arrays:
        return {} if key == "kept" else make(NothingStored())

    def make(_partial: PartialFit) -> Arrays:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        threading.Event().wait(0.05)
        with lock:
            under_way[0] -= 1
            made.append(1)
        return {"a": np.zeros(1)}

    store = LimitedFits(kept, 2)
    threads = [threading.Thread(target=store, args=(str(one), {}, make)) for one in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6 and most[0] == 2
    assert store("kept", {}, make) == {} and len(made) == 6


def test_a_bounded_training_learns_from_fewer_rows_and_stays_below(
    root: Path, tables: Tables, recsys: Recsys
) -> None:
    options = [word for one in LIGHT for word in ("--set", one)]

    def train(max_memory: str, *words: str) -> subprocess.CompletedProcess[str]:
        bound = ("--set", f"runtime.max_memory={max_memory}")
        return recsys("-C", root, "--json", *options, *bound, "train", "--date", DAY, *words)

    refused = train("1MB")
    assert refused.returncode == ExitCode.USAGE and "where: runtime.max_memory" in refused.stderr
    assert not list((root / "models").glob("*"))
    enough = re.search(r"set at least ([\d.]+GB)", refused.stderr)
    assert enough is not None

    planned = train(enough[1], "--plan")
    tight, whole = train(enough[1], "--no-promote"), train("", "--no-promote")

    for done in (planned, tight, whole):
        assert done.returncode == ExitCode.OK, done.stderr
    memory = training_memory(tables, settings_with(root, ""), 2)
    rows = [sum(one["rows"] for one in json.loads(done.stdout)["label_windows"]) for done in (tight, whole)]
    assert rows[0] <= 10_000 + 10_000_000 / memory.row < rows[1]
    assert 0 < json.loads(planned.stdout)["rows"] <= 10_000 + 10_000_000 / memory.row
    assert "runtime.max_memory: the ranker learns from" in tight.stderr
    record = next(
        raised
        for path in (root / "runs").glob("*/run.json")
        if (raised := json.loads(path.read_text())).get("plan", {}).get("predicted_seconds")
    )
    assert record["plan"]["peak_bytes"] < float(enough[1][:-2]) * 1e9
