"""Two runs at once, and runs that are stopped at work."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer

import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode
from recsys_cli.utils.storage.atomic_writes import staging_folder
from recsys_cli.utils.storage.locks import locked

Contents = Callable[[], dict[str, bytes]]
DAY = "2026-03-02"
PATIENCE = 60  # seconds until a test gives up
HOLDER = """
import sys
from pathlib import Path
from recsys_cli.utils.storage.locks import locked
with locked(Path(sys.argv[1]), "the tests"):
    print("held", flush=True)
    sys.stdin.read()
"""


def lock(workspace: Path, name: str) -> Path:
    return workspace / f"runs/.locks/{name}.lock"


@pytest.mark.parametrize(
    ("name", "command"),
    [
        (f"date={DAY}", ("features", "--date", DAY)),
        (f"date={DAY}", ("score", "--date", DAY, "--force")),
        ("models", ("train", "--date", DAY)),
        ("models", ("models", "rollback")),
    ],
    ids=lambda one: one if isinstance(one, str) else one[0],
)
def test_a_second_run_stops_at_once_and_names_the_first(
    workspace: Path, refused: Callable[..., str], name: str, command: tuple[str, ...]
) -> None:
    arguments = [sys.executable, "-c", HOLDER, str(lock(workspace, name))]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        message = refused(ExitCode.LOCKED, *command)
        assert f": process {holder.pid}, started 20" in message
        assert f"where: {lock(workspace, name)}" in message


def test_a_second_run_waits_for_the_first_where_it_is_told_to(
    workspace: Path, refused: Callable[..., str]
) -> None:
    arguments = [sys.executable, "-c", HOLDER, str(lock(workspace, f"date={DAY}"))]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None and holder.stdout is not None and holder.stdout.readline() == "held\n"
        score = ("score", "--date", DAY, "--force", "--lock-wait")
        assert f"process {holder.pid}" in refused(ExitCode.LOCKED, *score, "1s")
        Timer(1.0, holder.stdin.close).start()
        assert main(["-q", "-C", str(workspace), *score, "60s"]) == ExitCode.OK


def staged(workspace: Path) -> list[Path]:
    """Return what a run leaves only while it works."""
    return [
        *(workspace / ".recommendations.staged").rglob("*.parquet"),
        *workspace.rglob("*.part"),
        *workspace.rglob("*.holder"),
    ]


def finished(contents: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out what a run is at work on."""
    return {name: held for name, held in contents.items() if ".recommendations.staged" not in name}


@pytest.fixture
def working(workspace: Path) -> Iterator[subprocess.Popen[str]]:
    """A real `score` in the midst of its users, of whom there are enough for several minutes."""
    users = pl.read_parquet(workspace / "data/users.parquet")
    crowd = pl.DataFrame({"user_id": [f"new{number}" for number in range(40_000)]})
    pl.concat([users, crowd], how="diagonal").write_parquet(workspace / "data/users.parquet")
    alike = "[default.gates]\nmax_fallback_rows = 1\nmax_top_item_share = 1\n"  # as such a crowd's lists are
    (workspace / "settings/settings.local.toml").write_text(alike)
    assert main(["-q", "-C", str(workspace), "features", "--date", DAY]) == ExitCode.OK
    arguments = ["-C", str(workspace), "--set", "scoring.chunk_users=1", "score", "--date", DAY]
    with subprocess.Popen(
        [sys.executable, "-m", "recsys_cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while not any(file.suffix == ".parquet" for file in staged(workspace)):
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.01)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGTERM, ExitCode.TERMINATED, "error: terminated"),
        (signal.SIGINT, ExitCode.INTERRUPTED, "error: interrupted"),
    ],
    ids=["SIGTERM", "SIGINT"],
)
def test_a_stopped_score_leaves_the_old_lists_and_nothing_else(
    workspace: Path,
    contents: Contents,
    working: subprocess.Popen[str],
    number: int,
    code: ExitCode,
    line: str,
) -> None:
    before = finished(contents())
    working.send_signal(number)
    out, err = working.communicate(timeout=PATIENCE)
    assert (working.returncode, out, err.splitlines()[-1]) == (code, "", line)
    assert "Traceback" not in err
    assert finished(contents()) == before
    assert not staged(workspace)
    output = [json.loads(file.read_text()) for file in (workspace / "runs").glob("*-score-*/run.json")]
    assert [record["status"] for record in output] == ["failed"]
    assert main(["-q", "-C", str(workspace), "score", "--date", DAY]) == ExitCode.OK


def test_a_score_at_work_holds_its_date_alone(
    workspace: Path, refused: Callable[..., str], working: subprocess.Popen[str]
) -> None:
    working.send_signal(signal.SIGSTOP)  # at rest, so that nothing but the second run could change a file
    os.waitpid(working.pid, os.WUNTRACED)
    message = refused(ExitCode.LOCKED, "score", "--date", DAY)
    assert f"the recommendations of {DAY}: process {working.pid}, started 20" in message
    assert main(["-q", "-C", str(workspace), "features", "--date", "2026-03-03"]) == ExitCode.OK


def test_a_killed_score_holds_up_nobody(
    workspace: Path,
    contents: Contents,
    working: subprocess.Popen[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def last_run() -> tuple[str, str]:
        capsys.readouterr()
        assert main(["-C", str(workspace), "--json", "runs", "list"]) == ExitCode.OK
        run = json.loads(capsys.readouterr().out)["runs"][0]
        return run["status"], run["date"]

    before = finished(contents())
    assert last_run() == ("started", DAY)
    working.kill()
    assert working.wait(timeout=PATIENCE) == -signal.SIGKILL
    assert last_run() == ("killed", DAY)
    assert finished(contents()) == before
    assert main(["-q", "-C", str(workspace), "score", "--date", DAY]) == ExitCode.OK
    published = pl.read_parquet(workspace / f"recommendations/date={DAY}/recommendations.parquet")
    assert published["user_id"].n_unique() == 40_060
    assert not staged(workspace) and not parts(workspace)


def test_what_a_killed_process_staged_is_removed_and_what_a_living_one_stages_is_not(workspace: Path) -> None:
    left = workspace / "features/.0123456789abcdef.part"
    left.mkdir()
    with staging_folder(workspace / "features") as part:
        assert part.is_dir() and not left.exists()
        left.mkdir()
        assert main(["-q", "-C", str(workspace), "score", "--date", DAY, "--force"]) == ExitCode.OK
        assert part.is_dir() and not left.exists()


def parts(workspace: Path) -> list[Path]:
    return sorted((workspace / f".recommendations.staged/date={DAY}").glob("part-*.json"))


def killed_behind_parts(workspace: Path, working: subprocess.Popen[str], count: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while len(parts(workspace)) < count:
        assert working.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    working.kill()
    working.wait(timeout=PATIENCE)


def output(workspace: Path) -> str:
    """Return what the latest scoring run has logged."""
    logs = (workspace / "runs").glob("*-score-*/log.jsonl")
    return max(logs, key=lambda path: path.stat().st_mtime_ns).read_text()


def file_of(workspace: Path) -> bytes:
    return (workspace / f"recommendations/date={DAY}/recommendations.parquet").read_bytes()


@pytest.mark.parametrize("damaged", [None, 2, 0])
def test_a_killed_score_is_gone_on_with_and_gives_the_file_of_a_clean_run(
    workspace: Path, working: subprocess.Popen[str], damaged: int | None
) -> None:
    killed_behind_parts(workspace, working, 4)
    kept = [json.loads(part.read_text())["users"] for part in parts(workspace)]
    if damaged is not None:
        lists = parts(workspace)[damaged].with_suffix(".arrow")
        lists.write_bytes(lists.read_bytes()[:-1] + b"?")
        kept = kept[:damaged]
    assert main(["-q", "-C", str(workspace), "score", "--date", DAY]) == ExitCode.OK
    assert (f"resuming after {sum(kept)} users" in output(workspace)) == bool(kept)
    gone_on = file_of(workspace)
    assert not parts(workspace)
    assert main(["-q", "-C", str(workspace), "score", "--date", DAY, "--force"]) == ExitCode.OK
    assert "going on" not in output(workspace)
    assert gone_on == file_of(workspace)


def test_chunks_of_any_size_give_the_same_file_and_the_same_example(workspace: Path) -> None:
    users = pl.read_parquet(workspace / "data/users.parquet")
    first = pl.DataFrame({"user_id": ["a0", "a1"]})  # before all others, and without events
    pl.concat([first, users], how="diagonal").write_parquet(workspace / "data/users.parquet")
    files = []
    for size in (1, 7, 1_024):
        asked = ["--set", f"scoring.chunk_users={size}", "score", "--date", DAY, "--force"]
        assert main(["-q", "-C", str(workspace), *asked]) == ExitCode.OK
        files.append(file_of(workspace))
    assert files[0] == files[1] == files[2]
    output = json.loads((workspace / f"recommendations/date={DAY}/manifest.json").read_text())
    assert output["example_user"].startswith("u")


def test_lists_grow_among_the_published_ones_where_nothing_may_be_made_beside_them(
    workspace: Path, without_rights: Callable[[], AbstractContextManager[None]]
) -> None:
    with TemporaryDirectory() as name:  # that of pytest is closed to others
        there = Path(shutil.copytree(workspace, f"{name}/shop"))
        os.chmod(name, 0o755)
        shutil.rmtree(there / ".recommendations.staged")
        there.chmod(0o555)
        for folder in ("recommendations", "features", "runs"):
            (there / folder).mkdir(exist_ok=True)
            for path in (there / folder, *(there / folder).rglob("*")):
                path.chmod(0o777)
        with without_rights():
            code = main(["-q", "-C", str(there), "score", "--date", DAY, "--force"])
        there.chmod(0o777)
        assert code == ExitCode.OK
        assert not (there / ".recommendations.staged").exists()
        assert not list((there / "recommendations/.staged").iterdir())
        assert file_of(there) == file_of(workspace)


def test_other_work_is_not_gone_on_with(workspace: Path, working: subprocess.Popen[str]) -> None:
    killed_behind_parts(workspace, working, 2)
    assert main(["-q", "-C", str(workspace), "score", "--date", DAY, "--top-k", "3"]) == ExitCode.OK
    assert "are not reused, because these differ: top_k" in output(workspace)
    lists = pl.read_parquet(workspace / f"recommendations/date={DAY}/recommendations.parquet")
    assert lists["rank"].max() == 3 and lists["user_id"].n_unique() == 40_060


def test_what_killed_runs_of_other_dates_have_left_is_removed_a_week_later(workspace: Path) -> None:
    days = {"2026-02-01": 8, "2026-02-02": 6, "2026-02-03": 8, DAY: 8}
    left = {day: workspace / f".recommendations.staged/date={day}" for day in days}
    for day, folder in left.items():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "part-000000.arrow").write_text("lists")
        os.utime(folder, (time.time() - days[day] * 86_400,) * 2)
    with locked(lock(workspace, "date=2026-02-03"), "the tests"):
        assert main(["-q", "-C", str(workspace), "score", "--date", DAY, "--force"]) == ExitCode.OK
    assert [day for day, folder in left.items() if folder.exists()] == ["2026-02-02", "2026-02-03"]


def test_run_records_may_lie_on_another_file_system(workspace: Path) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == workspace.stat().st_dev:
        pytest.skip("needs a second file system: /dev/shm")
    with TemporaryDirectory(dir=elsewhere) as runs:
        arguments = ["--set", f"output.runs={runs}", "score", "--date", DAY, "--force"]
        assert main(["-q", "-C", str(workspace), *arguments]) == ExitCode.OK
    assert not staged(workspace)
