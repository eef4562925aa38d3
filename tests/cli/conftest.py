"""A small but real workspace, trained and scored once a session; the proof that a refusal changed nothing."""

import os
import shutil
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys_cli.cli.app import main

DAY = date(2026, 3, 2)
FIRST_WORDS = "Red Old Far New Big Sad Raw Icy Hot Shy Dry Wet Odd Mad Fat Dim Low Top Bad Kind".split()
LAST_WORDS = "House River Night Garden Street Winter Island Letter Forest Mirror Bridge Summer".split()
SETTINGS = """
[default.data.interactions]
path = "data/interactions.parquet"
columns = {weight = "weight"}
[default.data.users]
path = "data/users.parquet"
features = ["age", "city"]
[default.data.items]
path = "data/items.parquet"
features = ["price", "genre"]
[default.candidates.lightfm]
epochs = 2
no_components = 8
[default.ranker]
iterations = 30
learning_rate = 0.1
label_days = 7
label_windows = 2
"""


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RECSYS_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of 60 users and 40 items with a promoted model and the lists of 2026-03-02."""
    root = tmp_path_factory.mktemp("scored")
    write_inputs(root)
    for command in ("train", "score"):
        assert main(["-q", "-C", str(root), command, "--date", str(DAY)]) == 0
    return root


@pytest.fixture
def workspace(scored: Path, tmp_path: Path) -> Path:
    """A copy of the scored workspace, without the records of its runs."""
    return Path(shutil.copytree(scored, tmp_path / "workspace", ignore=shutil.ignore_patterns("runs")))


@pytest.fixture
def refused(workspace: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the program where it must refuse: one block, its exit code, an empty stdout and no file changed.

    Returns the block.
    """

    def run(code: int, *args: str) -> str:
        before = snapshot(workspace)
        capsys.readouterr()
        status = main(["-C", str(workspace), *args])
        out, err = capsys.readouterr()
        assert (status, out) == (code, ""), err
        assert snapshot(workspace) == before
        lines = [line for line in err.splitlines() if not line.startswith("warning: ")]
        assert [line[:6] for line in lines if not line.startswith(" ")] == ["error:"], err
        assert "Traceback" not in err and "this is a bug" not in err and "panic" not in err.lower()
        assert any(line.startswith("  where: ") for line in lines) and "\n  fix: " in err, err
        return err

    return run


@pytest.fixture
def contents(workspace: Path) -> Callable[[], dict[str, bytes]]:
    """Tell what the workspace's files hold."""
    return lambda: snapshot(workspace)


def write_inputs(root: Path) -> None:
    """Write the settings and the tables of a workspace of 60 users and 40 items."""
    for folder in ("settings", "data"):
        (root / folder).mkdir()
    (root / "settings/settings.toml").write_text(SETTINGS)
    for name, table in _tables(np.random.default_rng(7)).items():
        table.write_parquet(root / f"data/{name}.parquet")


def snapshot(root: Path) -> dict[str, bytes]:
    """Return the bytes of every file of the workspace.

    Run records and locks are left out, and the steps that a training that failed keeps for the next one.
    """
    files = (path for path in root.rglob("*") if path.is_file())
    found = {str(path.relative_to(root)): path.read_bytes() for path in files}
    return {name: held for name, held in found.items() if not name.startswith(("runs/", "models/.training/"))}


def _tables(rng: np.random.Generator) -> dict[str, pl.DataFrame]:
    users, items, events = 60, 40, 1_000
    taste = rng.permutation(users) % 4
    who = rng.integers(0, users - 2, events)  # the last two are cold
    liked = rng.random(events) < 0.95
    what = np.where(
        liked, taste[who] + 4 * rng.integers(0, items // 4, events), rng.integers(0, items, events)
    )
    begin = datetime(DAY.year, DAY.month, DAY.day) - timedelta(days=42)
    seconds = np.sort(rng.integers(0, 45 * 86_400, events))
    return {
        "interactions": pl.DataFrame(
            {
                "user_id": [f"u{one:02}" for one in who],
                "item_id": 100 + what,
                "timestamp": [begin + timedelta(seconds=int(one)) for one in seconds],
                "weight": rng.integers(1, 6, events).astype(np.float64),
            }
        ),
        "users": pl.DataFrame(
            {
                "user_id": [f"u{one:02}" for one in range(users)],
                "age": rng.integers(18, 70, users),
                "city": [("Oslo", "Lima", "Pune", "Kyiv")[one] for one in rng.integers(0, 4, users)],
            }
        ),
        "items": pl.DataFrame(
            {
                "item_id": np.arange(100, 100 + items),
                "title": [f"{FIRST_WORDS[one % 20]} {LAST_WORDS[one % 12]}" for one in range(items)],
                "price": rng.uniform(1, 50, items).round(2),
                "genre": [("drama", "comedy", "crime", "news")[one % 4] for one in range(items)],
            }
        ),
    }
