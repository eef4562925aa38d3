import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys_cli.configs.data_sections import (
    DataSettings,
    FeatureTableSettings,
    InteractionsSettings,
    ItemsSettings,
)
from recsys_cli.configs.sections import RankerSettings
from recsys_cli.data_preparation.tables.problems import Problem
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.models.versions.registry import promote, promoted_version
from recsys_cli.pipelines.check import check_workspace
from recsys_cli.pipelines.train import train_model
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.run_record import begin_run
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.columns import ITEM_ID, TIMESTAMP, USER_ID
from recsys_cli.utils.errors import ExitCode

DAY = date(2010, 11, 26)
NO_MODEL = ("warning", "no model is promoted")


def tables() -> dict[str, pl.DataFrame]:
    """Three tables with nothing wrong."""
    return {
        "events": pl.DataFrame(
            {
                USER_ID: [1, 1, 2],
                ITEM_ID: ["tea", "jam", "tea"],
                TIMESTAMP: [datetime(2010, 11, day, 9) for day in (23, 24, 25)],
            }
        ),
        "users": pl.DataFrame({USER_ID: [1, 2, 3], "country": ["FR", "DE", None]}),
        "items": pl.DataFrame(
            {
                ITEM_ID: ["tea", "jam"],
                "available_from": ["2010-01-01", None],
                "available_until": [None, None],
            },
            schema={ITEM_ID: pl.String, "available_from": pl.String, "available_until": pl.String},
        ),
    }


def workspace_of(frames: dict[str, pl.DataFrame], root: Path, **data: Any) -> Workspace:
    for name, frame in frames.items():
        frame.write_parquet(root / f"{name}.parquet")
    sources = DataSettings(
        interactions=InteractionsSettings(path="events.parquet"),
        users=FeatureTableSettings(path="users.parquet", features=["country"]),
        items=ItemsSettings(path="items.parquet"),
        **data,
    )
    return Workspace(root, settings_tree()(data=sources))


def found(workspace: Workspace, day: date = DAY) -> list[tuple[str, str]]:
    return [
        (problem.severity, problem.what) for problem in check_workspace(ScoringDay(workspace, day)).problems
    ]


def contents(root: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in root.rglob("*")}


def test_good_tables_without_a_model_give_one_warning(tmp_path: Path) -> None:
    assert found(workspace_of(tables(), tmp_path)) == [NO_MODEL]


FAULTS: list[tuple[str, pl.Expr, str, str]] = [
    ("events", pl.lit("2010-11-24").alias(TIMESTAMP), "error", "column 'timestamp' holds text, not a time"),
    (
        "events",
        pl.when(pl.col(ITEM_ID) == "tea").then(pl.col(TIMESTAMP)),
        "error",
        "1 of 3 events have no readable timestamp",
    ),
    (
        "events",
        pl.when(pl.col(ITEM_ID) == "jam")
        .then(datetime(1970, 1, 15))
        .otherwise(pl.col(TIMESTAMP))
        .alias(TIMESTAMP),
        "warning",
        "1 of 3 events are before 1971",
    ),
    (
        "events",
        pl.lit(datetime(2010, 11, 26)).alias(TIMESTAMP),
        "error",
        "there is no event before 2010-11-26 00:00 UTC",
    ),
    ("users", pl.col(USER_ID) + 6, "warning", "2 user_ids of the events, 100.0% of the events,"),
    (
        "items",
        pl.col(ITEM_ID).replace("jam", "oil"),
        "warning",
        "1 item_ids of the events, 33.3% of the events,",
    ),
    (
        "events",
        pl.when(pl.col(USER_ID) == 1).then(pl.col(USER_ID)),
        "error",
        "1 of 3 rows have no user_id",
    ),
    ("users", pl.col(USER_ID).replace(3, 1), "error", "1 user_ids have more than one row: 1 …"),
    ("users", pl.col(USER_ID) + 0.5, "error", "3 values of user_id are no whole numbers up to 2^53: 1.5"),
    ("items", pl.lit("soon").alias("available_from"), "error", "2 values of available_from are not dates"),
    ("items", pl.lit(14_000).alias("available_from"), "error", "available_from holds Int32, not dates"),
    (
        "items",
        pl.lit("2009-12-31").alias("available_until"),
        "warning",
        "1 items have an available_until before their available_from; they are never recommended",
    ),
]


@pytest.mark.parametrize(("table", "change", "severity", "what"), FAULTS)
def test_each_fault_is_named(table: str, change: pl.Expr, severity: str, what: str, tmp_path: Path) -> None:
    frames = tables()
    frames[table] = frames[table].with_columns(change)

    problems = check_workspace(ScoringDay(workspace_of(frames, tmp_path), DAY)).problems

    named = [one for one in problems if one.what != NO_MODEL[1]]
    assert [one.severity for one in named if one.what.startswith(what)] == [severity], named
    assert all(one.where.endswith(f"{table}.parquet") and one.fix for one in named)


def test_faults_of_all_tables_are_told_at_once_errors_first(tmp_path: Path) -> None:
    frames = tables()
    frames["events"] = frames["events"].drop(TIMESTAMP)
    frames["users"] = frames["users"].with_columns(pl.col(USER_ID).replace(3, None)).drop("country")
    frames["items"] = frames["items"].with_columns(pl.lit("tea").alias(ITEM_ID))

    output = found(workspace_of(frames, tmp_path))

    assert [severity for severity, _ in output] == ["error", "error", "error", "warning"]
    assert "column 'timestamp' is missing" in output[0][1]
    assert "feature column 'country' is missing" in output[1][1]
    assert "1 item_ids have more than one row: 'tea'" in output[2][1]
    assert output[3] == NO_MODEL


@pytest.mark.parametrize(
    ("limits", "severity"), [({}, "warning"), ({"max_age_days": 3, "stale_after_days": 4}, "error")]
)
def test_old_events_warn_then_refuse(limits: dict[str, int], severity: str, tmp_path: Path) -> None:
    output = found(workspace_of(tables(), tmp_path, **limits), date(2010, 12, 1))

    what = "the newest event before 2010-12-01 is 5.6 days old, the limit is"
    assert [one for one, text in output if text.startswith(what)] == [severity]


def test_an_output_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    workspace = workspace_of(tables(), tmp_path)
    (tmp_path / "features").write_text("")

    assert found(workspace)[0] == ("error", "output.features leads through a file, not a folder")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_an_output_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    workspace = workspace_of(tables(), tmp_path)
    (tmp_path / "runs").mkdir(mode=0o500)

    assert found(workspace)[0] == ("error", "output.runs cannot be written here")


@pytest.fixture(scope="module")
def trained(retail: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a promoted model, of the last months of some real customers."""
    root = tmp_path_factory.mktemp("trained")
    recent = (pl.col(TIMESTAMP) >= datetime(2010, 9, 1)) & (pl.col(USER_ID) % 12 == 0)
    events = (
        pl.read_parquet(retail / "interactions.parquet", columns=[USER_ID, ITEM_ID, TIMESTAMP])
        .filter(recent)
        .unique()
    )
    events.write_parquet(root / "events.parquet")
    settings = settings_tree()(
        data=DataSettings(interactions=InteractionsSettings(path="events.parquet")),
        candidates={"lightfm": {"no_components": 8, "epochs": 2}},
        ranker=RankerSettings(iterations=60, depth=3, learning_rate=0.1, label_windows=2),
    )
    workspace = Workspace(root, settings)
    version = train_model(ScoringDay(workspace, DAY), begin_run(workspace, "train"), promoted=False).version
    promote(workspace.models, version, force=True)  # so few customers teach little
    return workspace


def with_settings(workspace: Workspace, **changes: dict[str, Any]) -> Workspace:
    output = workspace.settings.model_dump()
    for section, values in changes.items():
        output[section] |= values
    return replace(workspace, settings=settings_tree().model_validate(output))


def model_problems(workspace: Workspace, day: date = DAY) -> list[Problem]:
    return [one for one in check_workspace(ScoringDay(workspace, day)).problems if one.severity == "error"]


def test_a_model_that_fits_is_no_problem(trained: Workspace) -> None:
    assert not check_workspace(ScoringDay(trained, DAY)).problems


def test_a_model_trained_after_the_date_is_an_error(trained: Workspace) -> None:
    (problem,) = model_problems(trained, date(2010, 11, 25))

    assert (
        "was trained on events up to 2010-11-26: it has already seen 2010-11-25 and must not score it"
        in problem.what
    )


def test_a_model_of_other_settings_is_an_error_for_each_difference(trained: Workspace) -> None:
    changed = with_settings(trained, scoring={"filter_viewed": False}, features={"windows_days": [7, 14, 30]})

    assert [one.what.partition("does not fit: ")[2] for one in model_problems(changed)] == [
        "scoring.filter_viewed: trained with True; now False; labels, sources and features differ",
        "features.windows_days: the columns item_events_90d, user_events_90d are missing",
    ]


def test_a_model_of_ids_of_another_type_is_an_error(trained: Workspace) -> None:
    (problem,) = model_problems(with_settings(trained, data={"user_id_type": "text"}))

    assert problem.what.endswith(" does not fit: user_id: trained with Int64; now String")


@pytest.mark.parametrize("name", ["ranker.json", "lightfm_users_vectors.npy", "manifest.json"])
def test_a_damaged_model_is_an_error_that_names_the_file(
    trained: Workspace, name: str, tmp_path: Path
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(trained.root, root)
    file = root / "models" / promoted_version(trained.models) / name
    file.write_bytes(file.read_bytes()[:-10])

    (problem,) = model_problems(replace(trained, root=root))

    assert problem.where == str(file)


def test_a_missing_version_behind_the_pointer_is_an_error(trained: Workspace, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(trained.root, root)
    shutil.rmtree(root / "models" / promoted_version(trained.models))

    (problem,) = model_problems(replace(trained, root=root))

    assert problem.what.startswith("there is no model version")


def settings_file(root: Path, text: str) -> None:
    (root / "settings").mkdir()
    (root / "settings/settings.toml").write_text(text)


def test_the_program_finds_real_data_fit_and_writes_nothing(
    retail: Path, tmp_path: Path, recsys: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    settings_file(
        tmp_path,
        f'[default.data.interactions]\npath = "{retail}/interactions.parquet"\n'
        f'[default.data.users]\npath = "{retail}/users.parquet"\nfeatures = ["country"]\n'
        f'[default.data.items]\npath = "{retail}/items.parquet"\nfeatures = ["price"]\n',
    )
    before = contents(tmp_path)

    done = recsys("check", "--date", "2010-11-26", "--json")

    assert done.returncode == ExitCode.OK, done.stderr
    output = json.loads(done.stdout)
    assert (output["schema_version"], output["date"]) == (1, "2010-11-26")
    events = pl.read_parquet(retail / "interactions.parquet", columns=[USER_ID, ITEM_ID, TIMESTAMP])
    past = events.filter(pl.col(TIMESTAMP) < datetime(2010, 11, 26))
    repeated = f"{len(past) - past.n_unique():,} events repeat the user, item and timestamp of another event"
    assert [(one["severity"], one["what"]) for one in output["problems"]] == [
        ("warning", f"{repeated}; each counts"),
        NO_MODEL,
        ("note", "the column 'quantity' is not used; it may be a weight"),
    ]
    assert contents(tmp_path) == before


def test_the_program_lists_all_problems_and_exits_1(
    tmp_path: Path, recsys: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    frames = tables()
    frames["users"] = frames["users"].with_columns(pl.col(USER_ID).replace(3, 1))
    frames["items"] = frames["items"].drop(ITEM_ID)
    workspace_of(frames, tmp_path)
    settings_file(
        tmp_path,
        "".join(
            f'[default.data.{table}]\npath = "{file}.parquet"\n'
            for table, file in (("interactions", "events"), ("users", "users"), ("items", "items"))
        ),
    )
    before = contents(tmp_path)

    done = recsys("check", "--date", "2010-11-26")

    assert done.returncode == ExitCode.CHECK
    for words in ("1 user_ids have more than one row", "column 'item_id' is missing", "no model is promoted"):
        assert words in done.stdout
    assert "error: the check found errors: 2, warnings: 1\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert contents(tmp_path) == before
