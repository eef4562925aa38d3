"""The folders of `output` are apart from each other, from the settings and from the inputs."""

import os
from pathlib import Path

import pytest

from recsys_cli.cli.app import main
from recsys_cli.configs.data_sections import DataSettings, InteractionsSettings, ItemsSettings
from recsys_cli.configs.sections import OutputSettings
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.output_folders import check_output_folders
from recsys_cli.utils.errors import ExitCode, SettingsError

FEATURES, MODELS, RECOMMENDATIONS = "output.features", "output.models", "output.recommendations"


def workspace_of(root: Path, external: str = "", items: str = "", **output: str) -> Workspace:
    settings = settings_tree()(
        data=DataSettings(
            interactions=InteractionsSettings(path="data/events.parquet"),
            items=ItemsSettings(path=items),
        ),
        candidates={"external": {"path": external}},
        output=OutputSettings(**output),
    )
    (root / "data").mkdir(exist_ok=True)
    return Workspace(root, settings)


def conflict(workspace: Workspace) -> str:
    with pytest.raises(SettingsError) as caught:
        check_output_folders(workspace)
    assert caught.value.where and caught.value.fix
    return caught.value.what


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"features": "recommendations"}, f"{FEATURES} and {RECOMMENDATIONS} are the same folder"),
        ({"features": "./models/../models/"}, f"{FEATURES} and {MODELS} are the same folder"),
        ({"features": "recommendations/features"}, f"{FEATURES} lies inside {RECOMMENDATIONS}"),
        ({"models": "features/models"}, f"{MODELS} lies inside {FEATURES}"),
        ({"runs": "models/runs"}, f"output.runs lies inside {MODELS}"),
        ({"recommendations": "."}, f"{FEATURES} lies inside {RECOMMENDATIONS}"),
        ({"runs": "settings"}, "output.runs and the folder of the settings are the same folder"),
        ({"models": "settings/models"}, f"{MODELS} lies inside the folder of the settings"),
        ({"runs": "data"}, "data.interactions.path lies inside output.runs"),
        (
            {"features": ".recommendations.staged"},
            f"{FEATURES} and the folder of checkpoints are the same folder",
        ),
        (
            {"features": "s3://shop/night", "recommendations": "s3://shop//night/"},
            f"{FEATURES} and {RECOMMENDATIONS} are the same folder",
        ),
        (
            {"features": "s3://shop/night/features", "models": "s3://shop/night"},
            f"{FEATURES} lies inside {MODELS}",
        ),
    ],
)
def test_folders_that_are_not_apart_are_refused(
    output: dict[str, str], expected: str, tmp_path: Path
) -> None:
    assert conflict(workspace_of(tmp_path, **output)) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"items": "features"}, f"{FEATURES} and data.items.path are the same folder"),
        ({"items": "features/*.csv"}, f"{FEATURES} and data.items.path are the same folder"),
        ({"items": "."}, f"{FEATURES} lies inside data.items.path"),
        ({"items": "**/*.csv"}, f"{FEATURES} lies inside data.items.path"),
        ({"items": "models/items.parquet"}, f"data.items.path lies inside {MODELS}"),
        (
            {"items": "s3://shop/night", "features": "s3://shop/night/features"},
            f"{FEATURES} lies inside data.items.path",
        ),
        (
            {"external": "recommendations/date={date}/more.parquet"},
            f"candidates.external.path lies inside {RECOMMENDATIONS}",
        ),
    ],
)
def test_an_input_among_outputs_or_around_them_is_refused(
    given: dict[str, str], expected: str, tmp_path: Path
) -> None:
    assert conflict(workspace_of(tmp_path, **given)) == expected


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"items": "items.csv", "external": "shared/{date}.parquet", "features": "shared/features"},
        {"items": "*.csv"},
        {"items": "https://shop.example/features/items.csv"},
        {"features": "features-new", "models": "features"},
        {"features": "s3://shop/features", "models": "s3://other/features"},
        {"features": "data/features"},
        {"runs": "/var/lib/recsys/runs"},
    ],
)
def test_folders_that_are_apart_are_accepted(given: dict[str, str], tmp_path: Path) -> None:
    check_output_folders(workspace_of(tmp_path, **given))


def test_symbolic_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "recommendations").mkdir()
    (tmp_path / "features").symlink_to("recommendations")
    assert conflict(workspace_of(tmp_path)) == f"{FEATURES} and {RECOMMENDATIONS} are the same folder"


def test_links_in_a_circle_are_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "features").symlink_to("models")
    (tmp_path / "models").symlink_to("features")
    with pytest.raises(SettingsError):
        check_output_folders(workspace_of(tmp_path, models="features"))


def test_a_path_with_a_zero_byte_is_refused(tmp_path: Path) -> None:
    assert "embedded null" in conflict(workspace_of(tmp_path, runs="a\0b"))


def test_the_program_refuses_before_anything_is_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("RECSYS_")]:
        monkeypatch.delenv(name)
    for folder in ("settings", "data", "recommendations/date=2026-03-02"):
        (tmp_path / folder).mkdir(parents=True)
    lists = tmp_path / "recommendations/date=2026-03-02/recommendations.parquet"
    lists.write_text("lists")
    (tmp_path / "settings/settings.toml").write_text(
        '[default.data.interactions]\npath = "data/e.parquet"\n'
        '[default.output]\nfeatures = "recommendations"\n'
    )
    for command in ("features", "check", "score"):
        assert main(["-C", str(tmp_path), command, "--date", "2026-03-02"]) == ExitCode.USAGE
        err = capsys.readouterr().err
        assert err.startswith(f"error: {FEATURES} and {RECOMMENDATIONS} are the same folder\n  where: ")
        assert "\n  fix: give output.features a folder of its own in settings/settings.toml" in err
    assert lists.read_text() == "lists" and not (tmp_path / "runs").exists()
