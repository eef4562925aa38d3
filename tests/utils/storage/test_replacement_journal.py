"""A folder is replaced where two cannot be exchanged: the next reader puts each state in order."""

import errno
import os
import shutil
import subprocess
import sys
import textwrap
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest

from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.storage.folder_exchange import replace_folder
from recsys_cli.utils.storage.replacement_journal import Replacement, standing, standing_names

SIBLINGS = ("journal", "new", "old", "copy")


def made(folder: Path, text: str) -> Path:
    """A folder with two files, of lists and what is said of them."""
    folder.mkdir(parents=True)
    for name in ("lists", "facts"):
        (folder / name).write_text(f"{name} {text}")
    return folder


def held(folder: Path) -> str:
    """Which folder it is, if it is complete."""
    texts = [(folder / name).read_text().split() for name in ("lists", "facts")]
    assert sorted(os.listdir(folder)) == ["facts", "lists"] and texts[0][1] == texts[1][1]
    return texts[0][1]


@pytest.fixture
def day(tmp_path: Path) -> Path:
    return made(tmp_path / "published/date=D", "old")


def sibling(day: Path, role: str) -> Path:
    return day.with_name(f".{day.name}.{role}")


def test_it_is_the_new_folder_and_nothing_is_left(day: Path, tmp_path: Path) -> None:
    Replacement(day).by(made(tmp_path / "staged", "new"))
    assert held(day) == "new" and os.listdir(day.parent) == [day.name]


def test_a_first_folder_needs_no_old_one(tmp_path: Path) -> None:
    (tmp_path / "published").mkdir()
    Replacement(tmp_path / "published/date=D").by(made(tmp_path / "staged", "new"))
    assert held(tmp_path / "published/date=D") == "new"
    assert os.listdir(tmp_path / "published") == ["date=D"]


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({"date=D": "old"}, "old"),  # nothing was done yet
        ({"date=D": "old", "new": "new"}, "old"),
        ({"date=D": "old", "copy": "part"}, "old"),
        ({"old": "old", "new": "new"}, "old"),
        ({"date=D": "part", "old": "old", "new": "new"}, "old"),  # removed file by file behind a copy of it
        ({"date=D": "old", "old": "old", "new": "new"}, "old"),
        ({"old": "old"}, "old"),
        ({"date=D": "new", "old": "old"}, "new"),
        ({"date=D": "new", "old": "part"}, "new"),
        ({"date=D": "new"}, "new"),
    ],
)
def test_each_state_of_a_killed_process_is_put_in_order(
    there: dict[str, str], expected: str, tmp_path: Path
) -> None:
    day = tmp_path / "published/date=D"
    for name, text in there.items():
        folder = made(day if name == day.name else sibling(day, name), text)
        if text == "part":
            (folder / "lists").unlink()
    sibling(day, "journal").touch()

    assert standing(day) == day and held(day) == expected
    assert os.listdir(day.parent) == [day.name]


def test_names_are_those_that_stand_once_all_is_in_order(tmp_path: Path) -> None:
    day = tmp_path / "published/date=D"
    made(sibling(day, "old"), "old")
    sibling(day, "journal").touch()
    made(tmp_path / "published/date=E", "new")
    assert standing_names(tmp_path / "published") == ["date=D", "date=E"]
    assert standing_names(tmp_path / "nowhere") == []


def test_a_journal_of_a_folder_that_never_was_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".date=D.journal").touch()
    made(tmp_path / ".date=D.new", "new")
    assert standing(tmp_path / "date=D") == tmp_path / "date=D"
    assert os.listdir(tmp_path) == []


def test_a_reader_without_rights_reads_the_old_folder_where_it_stands(
    tmp_path: Path, without_rights: object
) -> None:
    day = tmp_path / "published/date=D"
    made(sibling(day, "old"), "old")
    sibling(day, "journal").touch()
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    day.parent.chmod(0o555)
    with without_rights():  # type: ignore[operator]
        found, names = standing(day), standing_names(day.parent)
        assert held(found) == "old" and day.name in names
    day.parent.chmod(0o755)
    assert not day.exists() and sibling(day, "journal").exists()


def test_a_reader_waits_for_who_is_replacing_it_and_reads_the_new_folder(tmp_path: Path) -> None:
    day = tmp_path / "published/date=D"
    made(sibling(day, "old"), "old")
    made(sibling(day, "new"), "new")
    with sibling(day, "journal").open("w") as journal:
        flock(journal, LOCK_EX)
        reader = subprocess.Popen(  # pylint: disable=consider-using-with
            [sys.executable, "-c", READ, str(day)], stdout=subprocess.PIPE, text=True
        )
        assert reader.stdout is not None and reader.stdout.readline() == "begins\n"
        sibling(day, "new").rename(day)
        shutil.rmtree(sibling(day, "old"))
        sibling(day, "journal").unlink()
    assert reader.communicate(timeout=60)[0] == "lists new\n"


READ = textwrap.dedent("""
    import sys
    from pathlib import Path
    from recsys_cli.utils.storage.replacement_journal import standing
    print("begins", flush=True)
    print((standing(Path(sys.argv[1])) / "lists").read_text())
    """)


@pytest.mark.parametrize("nth", range(1, 4))
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_after_an_error_at_any_rename_the_old_folder_is_there(
    nth: int, number: int, day: Path, tmp_path: Path
) -> None:
    traced(f"error={errno.errorcode[number]}:when={nth}", day, made(tmp_path / "staged", "new"))
    assert held(day) == "old"
    assert os.listdir(day.parent) == [day.name]


@pytest.mark.parametrize("nth", range(1, 4))
def test_after_errors_from_a_rename_on_the_next_reader_finds_the_old_folder(
    nth: int, day: Path, tmp_path: Path
) -> None:
    traced(f"error=EIO:when={nth}+", day, made(tmp_path / "staged", "new"))
    assert held(standing(day)) == "old"
    assert os.listdir(day.parent) == [day.name]


@pytest.mark.parametrize("nth", range(1, 4))
def test_killed_at_any_rename_the_next_reader_finds_the_old_folder(
    nth: int, day: Path, tmp_path: Path
) -> None:
    traced(f"signal=KILL:when={nth}", day, made(tmp_path / "staged", "new"))
    complete = [one for one in (day, sibling(day, "old")) if one.exists()]
    assert {held(one) for one in complete} == {"old"}
    found = held(standing(day))  # a call that is let through before the signal counts
    assert found in ("old", "new") and (nth == 3 or found == "old")
    assert os.listdir(day.parent) == [day.name]


@pytest.mark.parametrize("refused", ["EINVAL", "ENOSYS", "EXDEV", "EPERM", "EOPNOTSUPP"])
def test_where_no_exchange_is_offered_the_journal_replaces_the_folder(
    refused: str, day: Path, tmp_path: Path
) -> None:
    traced("", day, made(tmp_path / "staged", "new"), exchange=refused)
    assert held(day) == "new"
    assert os.listdir(day.parent) == [day.name]


@pytest.mark.parametrize("nth", range(1, 4))
def test_where_a_rename_is_refused_across_volumes_the_folder_is_copied(
    nth: int, day: Path, tmp_path: Path
) -> None:
    staged = made(tmp_path / "staged", "new")
    if nth == 3:  # of the new folder to its name: both lie side by side, so this is an error as any other
        traced(f"error=EXDEV:when={nth}", day, staged)
        assert held(day) == "old"
    else:
        traced(f"error=EXDEV:when={nth}", day, staged)
        assert held(day) == "new"
    assert os.listdir(day.parent) == [day.name]


def test_an_error_of_the_exchange_itself_is_no_lack_of_it(day: Path, tmp_path: Path) -> None:
    staged = made(tmp_path / "staged", "new")
    outcome = traced("", day, staged, exchange="EIO")
    assert "date=D cannot be written: Input/output error" in outcome
    assert held(day) == "old" and held(staged) == "new"


def test_an_interrupted_replacement_is_settled_before_the_next_one(tmp_path: Path) -> None:
    day = tmp_path / "published/date=D"
    made(sibling(day, "old"), "old")
    made(sibling(day, "new"), "stopped")
    sibling(day, "journal").touch()
    replace_folder(made(tmp_path / "staged", "new"), day)
    assert held(day) == "new" and os.listdir(day.parent) == [day.name]


def test_a_journal_that_is_a_link_is_not_followed(day: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("kept")
    sibling(day, "journal").symlink_to(tmp_path / "other")
    with pytest.raises(OutputError, match="date=D cannot be written"):
        replace_folder(made(tmp_path / "staged", "new"), day)
    assert held(standing(day)) == "old" and (tmp_path / "other").read_text() == "kept"


REPLACE = textwrap.dedent("""
    import sys
    from pathlib import Path
    from recsys_cli.utils.storage.folder_exchange import replace_folder
    replace_folder(Path(sys.argv[1]), Path(sys.argv[2]))
    """)


def traced(fault: str, day: Path, staged: Path, exchange: str = "EINVAL") -> str:
    """Replace a folder in a process whose exchange is refused and whose renames meet a fault."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace")
    rename = ["-e", f"inject=rename:{fault}"] if fault else []
    inject = ["-e", "trace=rename,renameat2", "-e", f"inject=renameat2:error={exchange}", *rename]
    command = [strace, "-f", "-o", os.devnull, *inject, sys.executable, "-B", "-c", REPLACE]
    done = subprocess.run(
        [*command, str(staged), str(day)], capture_output=True, text=True, timeout=120, check=False
    )
    return done.stderr
