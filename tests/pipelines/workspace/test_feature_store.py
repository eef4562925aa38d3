"""Inputs and features that others take the place of while they are read are noticed."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.configs.loader import load_settings
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.pipelines.score import score_users
from recsys_cli.pipelines.scoring.job import ScoreRequest
from recsys_cli.pipelines.workspace.feature_store import open_features
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.run_record import begin_run
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.errors import ExitCode, InputError

DAY = date(2026, 7, 1)
LIGHT = ("candidates.lightfm.epochs=1", "ranker.label_windows=2", "ranker.iterations=10")


def opened(root: Path, *changes: str) -> Workspace:
    loaded = load_settings(root, None, changes, settings_tree())
    return Workspace(loaded.workspace, loaded.settings)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with published lists."""
    root = tmp_path_factory.mktemp("replaced") / "shop"
    sets = [word for one in LIGHT for word in ("--set", one)]
    assert (
        main(["-q", "init", str(root), "--preset", "demo", "--users", "300", "--items", "60"]) == ExitCode.OK
    )
    main(["-q", "-C", str(root), *sets, "train", "--date", str(DAY)])
    version = next((root / "models").glob("*/manifest.json")).parent.name
    assert main(["-q", "-C", str(root), "models", "promote", version, "--force"]) == ExitCode.OK
    assert main(["-q", "-C", str(root), "score", "--date", str(DAY)]) == ExitCode.OK
    return root


def refused(root: Path, words: str, change: Callable[[], object]) -> None:
    """Score while a change happens, once, in the midst of it: nothing is published."""
    published = root / f"recommendations/date={DAY}/recommendations.parquet"
    before, calls = published.read_bytes(), []
    workspace = opened(root)

    def at_work(done: int, _total: int) -> None:
        if not calls:
            change()
        calls.append(done)

    request = ScoreRequest(DAY, 10, force=True)
    with pytest.raises(InputError, match=words):
        score_users(workspace, request, begin_run(workspace, "score"), at_work)

    assert calls and published.read_bytes() == before
    assert not list((root / ".recommendations.staged").iterdir())


def test_nothing_is_published_from_inputs_that_changed(shop: Path) -> None:
    file = shop / "data/users.parquet"

    def delivered() -> None:
        pl.read_parquet(file).head(10).write_parquet(file)

    refused(shop, "the inputs have changed during the run", delivered)
    assert main(["-q", "-C", str(shop), "score", "--date", str(DAY), "--force"]) == ExitCode.OK


def test_nothing_is_published_from_two_partitions(shop: Path) -> None:
    other = "scoring.exclude=age_rating >= 16"
    refused(
        shop,
        "the features were replaced while they were read",
        lambda: open_features(ScoringDay(opened(shop, other), DAY)),
    )
