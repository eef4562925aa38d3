"""Faults of the machine and the environment blame what is at fault, with the documented exit code."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from fcntl import LOCK_EX, flock
from pathlib import Path

import numpy as np
import pytest

from recsys_cli.cli.app import main
from recsys_cli.cli.environment_faults import environment_error
from recsys_cli.utils.errors import ExitCode, InputError, ModelError, OutputError
from recsys_cli.utils.memory_limit import MemoryLimit, check_memory, memory_limit

PROGRAM = (sys.executable, "-m", "recsys_cli")


def raised(work: Callable[[], object]) -> BaseException:
    try:
        work()
    except (MemoryError, OSError, RuntimeError) as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    "work",
    [
        lambda: np.empty(1 << 60, dtype=np.uint8),
        lambda: bytearray(1 << 62),
        lambda: (_ for _ in ()).throw(OSError(errno.ENOMEM, "Cannot allocate memory")),
        lambda: (_ for _ in ()).throw(RuntimeError("std::bad_alloc")),
    ],
)
def test_out_of_memory_is_an_output_error_that_says_how_much_there_is(work: Callable[[], object]) -> None:
    error = environment_error(raised(work))
    assert isinstance(error, OutputError)
    assert re.fullmatch(r"the memory ran out after \d\.\d\d GB; [\d.]+ GB can be had", error.what)
    assert "runtime.max_memory" in error.fix


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (RuntimeError("can't start new thread"), ExitCode.OUTPUT, "no thread or process can be started"),
        (OSError(2, "No usable temporary directory found in ['/x']"), ExitCode.OUTPUT, "temporary files"),
    ],
)
def test_other_faults_of_the_machine(error: Exception, code: ExitCode, words: str) -> None:
    found = environment_error(error)
    assert found is not None and found.exit_code == code
    assert words in found.what and found.fix


def test_file_is_not_blamed_for_memory_that_ran_out_while_it_was_read() -> None:
    error = ModelError("2 problems\n1. the model's files are not valid: [Errno 12] Cannot allocate memory")
    found = environment_error(error)
    assert isinstance(found, OutputError) and "the memory ran out" in found.what
    thread = environment_error(InputError("the table cannot be read: Failed to launch worker thread: x"))
    assert isinstance(thread, OutputError)


def test_other_errors_stay_what_they_are() -> None:
    assert environment_error(ValueError("x")) is None
    assert environment_error(BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")) is None
    assert environment_error(OutputError("the memory: bad alloc")) is None
    assert environment_error(InputError("no such file")) is None
    assert environment_error(FileNotFoundError(2, "No such file or directory", "x")) is None


def test_work_that_needs_more_memory_than_there_is_is_refused_before_it() -> None:
    assert isinstance(memory_limit(), MemoryLimit) and memory_limit().size > 1 << 28
    check_memory(1 << 20, "this", fix="")
    with pytest.raises(OutputError, match=r"this training needs about 1152921504.61 GB of memory"):
        check_memory(1 << 60, "this training", fix="set runtime.max_memory")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("[default.scoring]\ntop_k = " + "[" * 10_000 + "]" * 10_000, "nested deeper than 20 levels"),
        ("[default." + "a." * 5_000 + "b]\nc = 1", "nested deeper than 20 levels"),
        ("[default.scoring]\ntop_k = " + "9" * 5_000, "a number has more than 300 digits"),
        ("[default.scoring]\ntop_k = " + "9" * 1_000, "a number has more than 300 digits"),
    ],
)
def test_settings_that_no_parser_can_hold_are_settings_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: str, words: str
) -> None:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings/settings.toml").write_text(settings)
    assert main(["-C", str(tmp_path), "config"]) == ExitCode.USAGE
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "option",
    [
        "scoring.top_k=" + "[" * 5_000,
        "scoring.top_k=" + "9" * 5_000,
        "a." * 5_000 + "b=1",
        "output.runs=\udcff",
    ]
    + ["\udcff=1"],
)
def test_options_that_no_parser_can_hold_are_settings_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings/settings.toml").write_text("")
    assert main(["-C", str(tmp_path), "--set", option, "config"]) == ExitCode.USAGE
    assert "where: --set" in capsys.readouterr().err


def test_number_of_threads_is_refused_before_a_library_reads_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLARS_MAX_THREADS", "0")
    assert main(["config"]) == ExitCode.USAGE
    assert "error: POLARS_MAX_THREADS=0 is not a number from 1 to 1,024" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["config", "init shop --preset demo"])
def test_deleted_current_folder_is_named(tmp_path: Path, command: str) -> None:
    script = f"mkdir gone; cd gone; rmdir ../gone; exec {' '.join(PROGRAM)} {command}"
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == ExitCode.USAGE, done.stderr
    assert "the current folder no longer exists" in done.stderr


@pytest.mark.parametrize("kilobytes", [100_000, 400_000, 800_000, 2_900_000])
def test_address_space_too_small_for_the_libraries_is_no_bug(tmp_path: Path, kilobytes: int) -> None:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings/settings.toml").write_text("")
    script = f"ulimit -v {kilobytes}; exec {' '.join(PROGRAM)} -C {tmp_path} check --date 2026-03-02"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == ExitCode.OUTPUT, done.stderr
    assert "ulimit -v" in done.stderr


LIMITED = """
import os, resource, signal, sys
resource.setrlimit(resource.RLIMIT_AS, (20 << 30, 20 << 30))
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # as some supervisors start their programs
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
UNDER_A_LIMIT = (sys.executable, "-c", LIMITED, "-m", "recsys_cli")


def test_interrupt_of_one_process_under_a_limit_of_address_space_ends_the_run(workspace: Path) -> None:
    command = [*UNDER_A_LIMIT, "-C", str(workspace), "score", "--date", "2026-03-02", "--lock-wait", "5m"]
    lock = workspace / "runs/.locks/date=2026-03-02.lock"
    lock.parent.mkdir(parents=True)
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with lock.open("w") as held:
        flock(held, LOCK_EX)
        with subprocess.Popen(command, env=environ) as run:
            while not list((workspace / "runs").glob("*/log.jsonl")):
                time.sleep(0.1)
            run.send_signal(signal.SIGINT)
            assert run.wait(timeout=200) == ExitCode.INTERRUPTED


def test_limit_of_address_space_where_the_end_of_children_is_ignored() -> None:
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [*UNDER_A_LIMIT, "guide", "data"]
    done = subprocess.run(command, env=environ, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (ExitCode.OK, b"")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOGURU_LEVEL", "loud"),
        ("LOGURU_DEBUG_NO", "many"),
        ("LOADERS_FOR_DYNACONF", "nothing"),
        ("MATPLOTLIBRC", "/dev/zero"),
        ("MPLBACKEND", "paper"),
    ],
)
def test_variables_that_set_up_a_library_do_not_count(workspace: Path, name: str, value: str) -> None:
    command = ["report", "--html", "report.html", "-q"]
    done = program(*command, folder=workspace, variables={name: value})
    assert (done.returncode, done.stderr) == (ExitCode.OK, "")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".numba_config.yaml", b"[1"),
        (".numba_config.yaml", b"disable_jit: 1\n"),
        ("matplotlibrc", b"\xff"),
        ("matplotlibrc", None),
    ],
)
def test_files_that_set_up_a_library_do_not_count(workspace: Path, name: str, content: bytes | None) -> None:
    if content is None:
        os.mkfifo(workspace / name)
    else:
        (workspace / name).write_bytes(content)
    for command in ("score --date 2026-03-02 --force", "report --html report.html"):
        done = program(*command.split(" "), "-q", folder=workspace)
        assert (done.returncode, done.stderr) == (ExitCode.OK, "")


def program(
    *args: str, folder: Path, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | dict(variables or {})
    return subprocess.run(
        [*PROGRAM, *args], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=300
    )
