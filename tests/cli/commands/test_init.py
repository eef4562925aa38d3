import bz2
import gzip
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode

Run = Callable[..., subprocess.CompletedProcess[str]]
SMALL = ("--users", "60", "--items", "30", "--days", "20")
CSV = "who,sku,date\n1,a,2026-01-01\n2,b,2026-01-02\n"


def test_demo_is_the_default_and_ends_with_the_next_commands(recsys: Run, tmp_path: Path) -> None:
    done = recsys("init", "my shop", *SMALL)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr.splitlines()[-3:] == [
        "  recsys -C 'my shop' train --date 2026-07-01",
        "  recsys -C 'my shop' score --date 2026-07-01",
        "  recsys -C 'my shop' explain --date 2026-07-01",
    ]
    assert len(pl.read_parquet(tmp_path / "my shop/data/users.parquet")) == 60
    again = recsys("init", "my shop", *SMALL)
    assert f"kept {Path('my shop/settings/settings.toml')}" in again.stderr


def test_the_workspace_is_the_argument_or_the_global_option_or_here(recsys: Run, tmp_path: Path) -> None:
    assert recsys("-C", "there", "init", *SMALL).returncode == 0
    done = recsys("init", *SMALL)
    assert "  recsys train --date 2026-07-01" in done.stderr
    assert (tmp_path / "there/settings/settings.toml").is_file()
    assert (tmp_path / "settings/settings.toml").is_file()


def test_generic_follows_from_interactions_and_shows_its_guesses(recsys: Run, tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(CSV, encoding="utf-8")
    done = recsys("init", "w", "--interactions", "events.csv", "--map", "user_id=who")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stderr.splitlines()]
    assert ["interactions", "user_id", "who"] in lines
    assert ["interactions", "item_id", "sku"] in lines
    assert ["ids", "item_id_type", "text"] in lines
    assert "train --date 2026-01-03" in done.stderr
    assert recsys("-C", "w", "config", "data").returncode == 0


def test_json_is_one_object(recsys: Run, tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(CSV, encoding="utf-8")
    done = recsys("init", "w", "--interactions", "events.csv", "--map", "user_id=who", "--json")
    shown = json.loads(done.stdout)
    assert (shown["schema_version"], shown["preset"], shown["data"]) == (1, "generic", "none")
    assert {"table": "interactions", "setting": "user_id", "value": "who"} in shown["guesses"]
    assert shown["next"][0] == "recsys -C w train --date 2026-01-03"


PEOPLE = "id,bio\n1,likes tea\n2,likes rain\n3,likes snow\n"
BIO = "bio: free text: a different value in every row; name it in data.users.features to use it anyway"


def with_spare_columns(folder: Path) -> tuple[str, ...]:
    """Write tables with columns that init leaves out, and return its options."""
    events = "who,sku,date,basket,quantity\n1,a,2026-01-01,x,2\n2,b,2026-01-02,y,1\n"
    (folder / "events.csv").write_text(events, encoding="utf-8")
    (folder / "people.csv").write_text(PEOPLE, encoding="utf-8")
    return ("w", "--interactions", "events.csv", "--users", "people.csv", "--map", "user_id=who")


def test_columns_that_are_left_out_are_listed_with_a_way_to_use_them(recsys: Run, tmp_path: Path) -> None:
    options = with_spare_columns(tmp_path)
    said = recsys("init", *options).stderr.splitlines()
    start = said.index("not used:")
    assert said[start + 1 : start + 3] == [
        "  interactions  basket, quantity (may be a weight: --map weight=quantity)",
        f"  users         {BIO}",
    ]
    shown = json.loads(recsys("init", *options, "--json").stdout)["unused"]
    assert shown[-1] == {
        "table": "users",
        "column": "bio",
        "reason": "free text: a different value in every row",
        "fix": "name it in data.users.features to use it anyway",
    }
    assert [one["column"] for one in shown] == ["basket", "quantity", "bio"]
    quiet = recsys("--quiet", "init", *options)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_on_a_terminal_long_lines_go_on_below_their_text(tmp_path: Path) -> None:
    options = with_spare_columns(tmp_path)
    screen, stderr = pty.openpty()
    with os.fdopen(screen, "rb", buffering=0) as output:
        env = os.environ | {"COLUMNS": "60", "TERM": "xterm"}
        command = [sys.executable, "-m", "recsys_cli", "init", *options]
        done = subprocess.run(command, cwd=tmp_path, env=env, stderr=stderr, timeout=60, check=False)
        os.close(stderr)
        said = output.read(65_536).decode().splitlines()
    assert done.returncode == 0
    start = said.index("not used:")
    assert said[start + 3 : start + 6] == [
        "  users         bio: free text: a different value in every",
        "                row; name it in data.users.features to use",
        "                it anyway",
    ]
    assert max(map(len, said)) <= 60


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ("--users people.parquet", 2, "'people.parquet' is not a whole number"),
        ("--preset demo --interactions events.csv", 2, "the demo preset takes no --interactions"),
        ("--preset demo --map user_id=x", 2, "the demo preset takes no --map"),
        ("--preset generic", 2, "the generic preset needs a path"),
        ("--interactions events.csv --days 3 --seed 0", 2, "the generic preset takes no --days, --seed"),
        ("--preset kion --interactions . --users u.csv", 2, "the kion preset takes no --users"),
        ("--preset movielens --interactions .", 3, "the folder does not hold u.data"),
        ("--interactions events.csv --map user_id", 2, "'user_id' is not NAME=COLUMN"),
        ("--interactions events.csv --map user_id=nobody", 2, "no table has a column 'nobody'"),
        ("--interactions events.csv", 3, "looks like user_id; the columns are who, sku, date"),
        ("--interactions nowhere.csv", 3, "no such file"),
        ("--users 0", 2, "the demo cannot have users = 0"),
        ("--events-per-user 0", 2, "the demo cannot have events_per_user = 0"),
        ("--preset other", 2, "'other' is not one of"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(
    recsys: Run, tmp_path: Path, options: str, code: int, message: str
) -> None:
    (tmp_path / "events.csv").write_text(CSV, encoding="utf-8")
    done = recsys("init", "w", *options.split())
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.startswith("error: ") and "fix: " in done.stderr
    assert not (tmp_path / "w").exists()


HEADER = b"user_id,item_id,timestamp"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("events.csv", HEADER + b"\n", "error: the table has no rows\n"),
        (
            "events.csv",
            HEADER + b",item_id\n1,a,2026-01-01,b\n",
            "error: the header line has a column name twice\n",
        ),
        (
            "events.csv.gz",
            gzip.compress(CSV.encode(), mtime=0)[:-4],
            "error: the table cannot be read: Truncated",
        ),
        ("events.csv", bz2.compress(CSV.encode()), "error: this is a bzip2 file\n"),
    ],
    ids=["no rows", "a column twice", "gz", "bz2"],
)
def test_a_csv_that_cannot_be_mapped_says_why(
    recsys: Run, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    done = recsys("init", "w", "--interactions", name)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(message)
    assert f"where: {tmp_path / name}\n" in done.stderr and "fix: " in done.stderr
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("path", ["events", "events/*"])
def test_a_folder_of_both_kinds_is_refused(recsys: Run, tmp_path: Path, path: str) -> None:
    (tmp_path / "events").mkdir()
    (tmp_path / "events/a.csv").write_text(CSV, encoding="utf-8")
    pl.read_csv(tmp_path / "events/a.csv").write_parquet(tmp_path / "events/b.parquet")
    done = recsys("init", "w", "--interactions", path, "--map", "user_id=who")
    assert done.returncode == 3, done.stderr
    for words in ("parquet and CSV files", "/a.csv", "/b.parquet", "such as events/*.parquet"):
        assert words in done.stderr
    assert not (tmp_path / "w").exists()


def test_other_kind_that_comes_later_is_refused_too(recsys: Run, tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    (tmp_path / "events/a.csv").write_text(CSV, encoding="utf-8")
    assert recsys("init", "w", "--interactions", "events", "--map", "user_id=who").returncode == 0
    pl.read_csv(tmp_path / "events/a.csv").write_parquet(tmp_path / "events/b.parquet")
    done = recsys("-C", "w", "features", "--date", "2026-01-03")
    assert done.returncode == 3, done.stderr
    assert "parquet and CSV files" in done.stderr


def test_other_settings_are_kept_with_an_error(recsys: Run, tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(CSV, encoding="utf-8")
    settings = tmp_path / "settings/settings.toml"
    settings.parent.mkdir()
    settings.write_text("[default]\n", encoding="utf-8")
    done = recsys("init", "--interactions", "events.csv", "--map", "user_id=who")
    assert done.returncode == 2
    assert "other settings" in done.stderr
    assert settings.read_text(encoding="utf-8") == "[default]\n"


@pytest.mark.parametrize("command", [("init", "{}"), ("-C", "{}", "doctor"), ("-C", "{}", "check", "--json")])
def test_a_folder_whose_name_is_no_text_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    folder = tmp_path / "w\udcff"
    assert main([part.format(folder) for part in command]) == ExitCode.USAGE
    assert "\\udcff' is not UTF-8 text" in capsys.readouterr().err and not folder.exists()
