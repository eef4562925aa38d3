import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "settings").mkdir(parents=True)
    (folder / "settings" / "settings.toml").write_text(
        '[default]\ntimezone = "Europe/Berlin"\n[demo.ranker]\ndepth = 4\n', encoding="utf-8"
    )
    (folder / "settings" / ".secrets.toml").write_text(
        '[default.data.users]\npath = "hunter2"\n', encoding="utf-8"
    )
    return folder


def test_the_table_shows_value_and_origin(recsys: Run, workspace: Path) -> None:
    run = recsys("config", "-C", workspace, "--env", "demo", env={"RECSYS_SCORING__TOP_K": "5"})
    lines = [line.split("│") for line in run.stdout.splitlines() if line.startswith("│")]
    rows = {line[1].strip(): (line[2].strip(), line[3].strip()) for line in lines}
    assert (run.returncode, run.stderr) == (0, "")
    assert rows["timezone"] == ('"Europe/Berlin"', "settings/settings.toml [default]")
    assert rows["ranker.depth"] == ("4", "settings/settings.toml [demo]")
    assert rows["scoring.top_k"] == ("5", "RECSYS_SCORING__TOP_K")
    assert rows["scoring.filter_viewed"] == ("true", "built-in default")
    assert "hunter2" not in run.stdout
    assert rows["data.users.path"] == ('"********"', "settings/.secrets.toml [default]")


def test_json_is_one_object(recsys: Run, workspace: Path) -> None:
    run = recsys("config", "ranker.depth", "--json", "--env=demo", "-C", workspace)
    assert json.loads(run.stdout) == {
        "schema_version": 1,
        "environment": "demo",
        "workspace": str(workspace),
        "settings": {"ranker.depth": {"value": 4, "origin": "settings/settings.toml [demo]"}},
    }


def test_a_section_is_shown_alone(recsys: Run, workspace: Path) -> None:
    shown = json.loads(recsys("config", "Evaluation", "--json", "-C", workspace).stdout)
    assert list(shown["settings"]) == ["evaluation.k", "evaluation.days"]


def test_an_unknown_key_is_refused_with_close_matches(recsys: Run, workspace: Path) -> None:
    run = recsys("config", "ranker.dept", "-C", workspace)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.splitlines() == [
        "error: there is no setting 'ranker.dept'",
        "  where: recsys config",
        "  fix: did you mean ranker.depth?",
    ]


def test_the_workspace_is_found_upwards_or_by_the_variable(
    recsys: Run, workspace: Path, tmp_path: Path
) -> None:
    inner = workspace / "data" / "raw"
    inner.mkdir(parents=True)
    for run in (
        recsys("config", "--json", cwd=inner),
        recsys("config", "--json", cwd=tmp_path, env={"RECSYS_WORKSPACE": "shop"}),
    ):
        assert json.loads(run.stdout)["workspace"] == str(workspace)


def test_a_missing_workspace_is_one_block(recsys: Run, tmp_path: Path) -> None:
    run = recsys("config", "-C", tmp_path / "nowhere")
    assert run.returncode == 2
    assert run.stderr.splitlines() == [
        "error: no workspace here: settings/settings.toml is missing",
        f"  where: {tmp_path / 'nowhere'}",
        "  fix: run recsys init, or name a workspace with -C DIR",
    ]


def test_all_problems_come_in_one_block(recsys: Run, workspace: Path) -> None:
    run = recsys("config", "-C", workspace, "--set", "ranker.depth=99", "--set", "rankr=[bold]\x1b[31m")
    assert run.returncode == 2
    assert run.stderr.splitlines()[:3] == [
        "error: 2 settings are not valid",
        "    ranker.depth = 99 (--set): should be less than or equal to 16",
        '    rankr = "[bold]\\u001b[31m" (--set): no such setting; did you mean ranker?',
    ]
