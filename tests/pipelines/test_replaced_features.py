"""Features are read a span at a time: others that take their place meanwhile are noticed."""

from datetime import date
from pathlib import Path

import pytest

from recsys_cli.cli.app import main
from recsys_cli.configs.load import load_settings
from recsys_cli.pipelines.feature_store import open_features
from recsys_cli.pipelines.run_record import begin_run
from recsys_cli.pipelines.score import ScoreRequest, score_users
from recsys_cli.pipelines.workspace import Workspace
from recsys_cli.utils.errors import ExitCode, InputError

DAY = date(2026, 7, 1)
LIGHT = ("candidates.lightfm.epochs=1", "ranker.label_windows=2", "ranker.iterations=10")


def opened(root: Path, *changes: str) -> Workspace:
    loaded = load_settings(root, None, changes)
    return Workspace(loaded.workspace, loaded.settings)


def test_nothing_is_published_from_two_partitions(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    sets = [word for one in LIGHT for word in ("--set", one)]
    assert (
        main(["-q", "init", str(root), "--preset", "demo", "--users", "300", "--items", "60"]) == ExitCode.OK
    )
    main(["-q", "-C", str(root), *sets, "train", "--date", str(DAY)])
    version = next((root / "models").glob("*/manifest.json")).parent.name
    assert main(["-q", "-C", str(root), "models", "promote", version, "--force"]) == ExitCode.OK
    assert main(["-q", "-C", str(root), "score", "--date", str(DAY)]) == ExitCode.OK
    published = root / f"recommendations/date={DAY}/recommendations.parquet"
    before = published.read_bytes()
    workspace, calls = opened(root), []

    def replaced(done: int, _total: int) -> None:
        if not calls:
            open_features(opened(root, "scoring.exclude=age_rating >= 16"), DAY)
        calls.append(done)

    request = ScoreRequest(DAY, 10, force=True)
    with pytest.raises(InputError, match="the features were replaced while they were read"):
        score_users(workspace, request, begin_run(workspace, "score"), replaced)

    assert calls and published.read_bytes() == before
    assert not list((root / ".recommendations.staged").iterdir())
