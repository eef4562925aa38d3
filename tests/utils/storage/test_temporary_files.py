"""Temporary files: no link at a name that can be guessed is followed; those of killed processes go."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.storage.atomic_writes import replace_bytes, replacing
from recsys_cli.utils.storage.json_files import read_json, write_json
from recsys_cli.utils.storage.leftovers import names_in

_KILLED = """
import os, sys
from pathlib import Path
from recsys_cli.utils.storage.atomic_writes import replacing
with replacing(Path(sys.argv[1])) as made:
    made.write_text("half")
    os._exit(1)
"""


def killed_while_writing(target: Path) -> None:
    assert subprocess.run([sys.executable, "-c", _KILLED, str(target)], check=False).returncode == 1


def test_what_a_killed_process_left_beside_another_file_goes_with_the_next_of_that_name(
    tmp_path: Path,
) -> None:
    record, other = tmp_path / "runs/one/run.json", tmp_path / "runs/two/run.json"
    (tmp_path / "runs").mkdir()
    killed_while_writing(tmp_path / "runs/run.json")
    assert len(names_in(tmp_path / "runs")) == 1

    for file in (record, other):
        write_json(file, {"a": 1}, beside=tmp_path / "runs/run.json")

    assert names_in(tmp_path / "runs") == ["one", "two"]
    assert names_in(record.parent) == names_in(other.parent) == ["run.json"]
    assert read_json(record) == read_json(other) == {"a": 1}


def test_a_link_at_the_old_name_of_temporary_files_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    target = tmp_path / "models/promoted.json"
    target.parent.mkdir()
    (target.parent / ".promoted.json.part").symlink_to(victim)
    write_json(target, {"a": 1})
    assert victim.read_text() == "precious"
    assert not target.is_symlink() and read_json(target) == {"a": 1}


def test_a_link_in_the_place_of_the_target_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim, target = tmp_path / "victim", tmp_path / "report.html"
    victim.write_text("precious")
    target.symlink_to(victim)
    replace_bytes(target, b"new")
    assert victim.read_text() == "precious"
    assert not target.is_symlink() and target.read_bytes() == b"new"


@pytest.mark.parametrize("kind", ["link", "hard link", "file"])
def test_what_takes_the_temporary_files_place_does_not_become_the_target(tmp_path: Path, kind: str) -> None:
    victim, target = tmp_path / "victim", tmp_path / "target"
    victim.write_text("precious")
    with pytest.raises(OutputError, match="somebody else has replaced its temporary file") as caught:
        with replacing(target) as made:
            made.unlink()
            if kind == "link":
                made.symlink_to(victim)
            elif kind == "hard link":
                os.link(victim, made)
            else:
                made.write_bytes(b"foreign")
    assert caught.value.where == str(target)
    assert not target.exists() and victim.read_text() == "precious"


def test_names_differ_and_are_gone_after_success_and_failure(tmp_path: Path) -> None:
    names = set()
    for number in range(3):
        with replacing(tmp_path / "target") as made:
            names.add(made.name)
            made.write_bytes(b"%d" % number)
    with pytest.raises(RuntimeError), replacing(tmp_path / "target") as made:
        names.add(made.name)
        raise RuntimeError
    assert len(names) == 4 and all(name.startswith(".target.") for name in names)
    assert [file.name for file in tmp_path.iterdir()] == ["target"]
    assert (tmp_path / "target").read_text() == "2"


def test_what_killed_processes_left_goes_and_what_others_write_stays(tmp_path: Path) -> None:
    target = tmp_path / "target"
    killed_while_writing(target)
    killed_while_writing(tmp_path / "another")
    (tmp_path / ".target.part").write_text("of an earlier version of recsys")
    assert len(list(tmp_path.glob(".target.*"))) == 2
    with replacing(target) as mine:
        mine.write_bytes(b"mine")
        replace_bytes(target, b"other")  # as another process would at the same time
        assert mine.read_bytes() == b"mine" and target.read_bytes() == b"other"
    assert target.read_text() == "mine"
    left = sorted(file.name for file in tmp_path.iterdir())
    assert len(left) == 2 and left[0].startswith(".another.") and left[1] == "target"


def test_a_long_name_leaves_room_for_the_random_part(tmp_path: Path) -> None:
    target = tmp_path / ("ä" * 127)  # 254 bytes: as long as a name may be
    replace_bytes(target, b"x")
    assert target.read_bytes() == b"x" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_in_the_place_of_the_target_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    with pytest.raises(OutputError, match="target cannot be written: Is a directory") as caught:
        replace_bytes(tmp_path / "target", b"x")
    assert caught.value.where == str(tmp_path / "target")
    assert [file.name for file in tmp_path.iterdir()] == ["target"]
