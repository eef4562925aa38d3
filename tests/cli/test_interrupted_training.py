"""A training that was killed goes on from its finished steps: the same model, and nothing is left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SETTINGS = """
[default.data.interactions]
path = "{data}/interactions.parquet"
[default.data.users]
path = "{data}/users.parquet"
features = ["country"]
[default.data.items]
path = "{data}/items.parquet"
features = ["price", "range", "words"]
[default.candidates.lightfm]
epochs = 2
no_components = 8
[default.ranker]
iterations = 30
members = 2
label_windows = 2
n_negatives = 20
"""
DAY = "2010-11-26"


@pytest.fixture(scope="module")
def workspace(retail_sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stopped")
    (root / "settings").mkdir()
    (root / "settings/settings.toml").write_text(SETTINGS.format(data=retail_sample))
    return root


def started(workspace: Path, models: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "recsys_cli",
        "-q",
        "-C",
        str(workspace),
        "--set",
        f"output.models={models}",
    ]
    return subprocess.Popen([*command, "train", "--date", DAY, "--no-promote"])


def finished_steps(folder: Path) -> list[str]:
    """Return the names of the steps that have theirs: one without is still being made."""
    return sorted(file.parent.name for file in folder.glob(".training/*/[!.]*/step.json"))


def model_files(folder: Path) -> dict[str, bytes]:
    """Return the files of the only model, but for what its manifest says of the run."""
    (version,) = (one for one in folder.iterdir() if not one.name.startswith("."))
    return {file.name: file.read_bytes() for file in version.iterdir() if file.name != "manifest.json"}


@pytest.fixture(scope="module")
def clean(workspace: Path) -> dict[str, bytes]:
    assert started(workspace, "clean").wait(120) == 0
    return model_files(workspace / "clean")


@pytest.mark.parametrize("steps", [1, 6])
def test_a_killed_training_goes_on(workspace: Path, clean: dict[str, bytes], steps: int) -> None:
    models = workspace / f"killed-{steps}"
    process = started(workspace, models.name)
    deadline = time.monotonic() + 120
    while len(finished_steps(models)) < steps and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    kept = finished_steps(models)
    assert len(kept) >= steps

    assert started(workspace, models.name).wait(120) == 0

    assert model_files(models) == clean
    assert not list(models.glob(".training/*"))
    newest = max((workspace / "runs").glob("*-train-*"), key=lambda run: run.stat().st_mtime_ns)
    log = [json.loads(line)["message"] for line in (newest / "log.jsonl").read_text().splitlines()]
    taken = {
        line.split(" ")[0] for line in log if line.endswith("is reused from the training that was stopped")
    }
    assert taken == set(kept)


def test_other_settings_take_nothing(workspace: Path) -> None:
    """Steps of another training stay for it, and give nothing to this one."""
    models = workspace / "others"
    process = started(workspace, models.name)
    while len(finished_steps(models)) < 2:
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    kept = finished_steps(models)
    command = [
        sys.executable,
        "-m",
        "recsys_cli",
        "-q",
        "-C",
        str(workspace),
        "--set",
        "output.models=others",
    ]
    other = [*command, "--set", "ranker.n_negatives=19", "train", "--date", DAY, "--no-promote"]
    assert subprocess.run(other, env=os.environ, timeout=120, check=False).returncode == 0
    newest = max((workspace / "runs").glob("*-train-*"), key=lambda run: run.stat().st_mtime_ns)
    assert "reused from the training that was stopped" not in (newest / "log.jsonl").read_text()
    assert set(finished_steps(models)) == set(kept)
