import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys_cli.cli.global_options import hoisted
from recsys_cli.utils.errors import ExitCode

Run = Callable[..., subprocess.CompletedProcess[str]]

# The real main(), with one more command whose body is the test's.
PROGRAM = """
import sys
import typer
from recsys_cli.cli.app import app, main
from recsys_cli.cli.session import session_of
from recsys_cli.utils.errors import InputError

@app.command("act")
def act(ctx: typer.Context) -> None:
    session = session_of(ctx)
    {body}

sys.exit(main(sys.argv[1:]))
"""


def act(body: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM.format(body=body), "act", *options]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)


def test_importing_the_app_loads_no_heavy_library() -> None:
    heavy = {
        "polars",
        "numpy",
        "catboost",
        "lightfm",
        "faiss",
        "pyarrow",
        "pydantic",
        "pydantic_core",
        "dynaconf",
    }
    code = "import sys, recsys_cli.cli.app; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not heavy & set(loaded)


@pytest.mark.parametrize("command", [("config",), ("runs", "list")], ids=["config", "runs list"])
def test_commands_that_only_read_settings_and_records_load_no_library_that_computes(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings/settings.toml").write_text("[default.data.interactions]\npath = 'events.csv'\n")
    args = ["-q", "-C", str(tmp_path), *command]
    code = f"import sys; from recsys_cli.cli.app import main; assert main({args}) == 0; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    loaded = {name.partition(".")[0] for name in output.splitlines()[-1].split()}
    computing = {
        "numba",
        "scipy",
        "lightfm",
        "catboost",
        "faiss",
        "sparse_dot_topn",
        "threadpoolctl",
        "pyarrow",
    }
    assert "pydantic" in loaded and not computing & loaded


@pytest.mark.parametrize("command", [("score", "--force"), ("explain", "u00")], ids=["score", "explain"])
def test_no_library_that_only_trains_is_loaded_each_day(workspace: Path, command: tuple[str, ...]) -> None:
    """They only train."""
    args = ["-q", "-C", str(workspace), *command, "--date", "2026-03-02"]
    code = f"import sys; from recsys_cli.cli.app import main; assert main({args}) == 0; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    loaded = set(shown.splitlines()[-1].split())
    without_work = {"catboost", "lightfm", "faiss", "optuna", "scipy.optimize"}
    assert {"polars", "dynaconf", "numba"} <= loaded and not without_work & loaded


def test_help_names_the_commands_and_where_options_may_stand(recsys: Run) -> None:
    for run in (recsys("--help"), recsys()):
        assert run.returncode == 0
        assert "config" in run.stdout
        assert "before or after the command" in run.stdout


def test_version_may_follow_the_command(recsys: Run) -> None:
    assert recsys("--version").stdout == recsys("config", "--version").stdout == "recsys 0.1.0\n"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("config ranker --json", "--json config ranker"),
        ("config -C here --env demo -vv", "-C here --env demo -vv config"),
        (
            "config --env=demo -Chere -q --set a=b --set c=d",
            "--env=demo -Chere -q --set a=b --set c=d config",
        ),
        ("explain -- --json", "explain -- --json"),
        ("--json explain 5 --item 7", "--json explain 5 --item 7"),
        ("score --set -q", "--set -q score"),
        ("config --env", "--env"),
    ],
)
def test_global_options_move_to_the_front(given: str, expected: str) -> None:
    assert hoisted(given.split()) == expected.split()


@pytest.mark.parametrize(
    ("args", "what", "where"),
    [
        (("confi",), "no such command 'confi'. Did you mean 'config'?", "recsys"),
        (("config", "--nope"), "no such option: --nope", "recsys config"),
        (("config", "a", "b"), "got unexpected extra argument(s) (b)", "recsys config"),
        (("config", "--env"), "option '--env' requires an argument.", "recsys"),
    ],
)
def test_a_usage_error_is_one_block(recsys: Run, args: tuple[str, ...], what: str, where: str) -> None:
    run = recsys(*args)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.splitlines() == [f"error: {what}", f"  where: {where}", f"  fix: see {where} --help"]


def test_an_error_shows_as_a_block_with_foreign_text_escaped() -> None:
    run = act(r"raise InputError('id [red]\x1b[31m{x}[/]\n2nd', where='a.csv\x07', fix='mend it')", "-q")
    assert run.returncode == ExitCode.INPUT
    assert run.stderr == "error: id [red]\\x1b[31m{x}[/]\n    2nd\n  where: a.csv\\x07\n  fix: mend it\n"


def test_a_bug_is_one_block_without_a_traceback() -> None:
    run = act("secret = 'hunter2'; {}['x']")
    assert run.returncode == ExitCode.BUG
    assert run.stderr == (
        "error: this is a bug: KeyError: 'x'\n"
        "  fix: run it again with -v, and report the traceback with the run's log\n"
    )


def test_a_bug_names_the_log_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings/settings.toml").write_text("")
    body = (
        "from datetime import date; from recsys_cli.cli.recorded_run import running\n"
        "    with running(session, 'act', date(2026, 7, 1)): {}['x']"
    )
    run = act(body, "-C", str(tmp_path))
    (log,) = (tmp_path / "runs").glob("*-act-*/log.jsonl")
    assert (run.returncode, run.stderr.splitlines()[1]) == (ExitCode.BUG, f"  where: {log}")


def test_verbose_adds_the_traceback_without_locals() -> None:
    run = act("secret = 'hunt' + 'er2'; {}['x']", "-v")
    assert "Traceback (most recent call last):" in run.stderr
    assert "hunter2" not in run.stderr


def test_an_exception_outside_of_the_tree_of_exceptions_is_a_bug_too() -> None:
    assert act("raise type('PanicException', (BaseException,), {})('boom')").returncode == ExitCode.BUG


def test_an_operating_system_error_is_no_bug() -> None:
    run = act("open('/nowhere/file')")
    assert run.returncode == ExitCode.OUTPUT
    assert run.stderr.splitlines()[:2] == ["error: No such file or directory", "  where: /nowhere/file"]


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 143, "terminated"),
        (signal.SIGINT, 130, "interrupted"),
    ],
)
def test_signals_end_with_their_code_and_one_line(number: int, code: int, line: str) -> None:
    body = "import time; print('ready', flush=True); time.sleep(30)"
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body), "act"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (code, f"error: {line}\n")


def test_a_run_without_its_terminal_goes_on_where_that_was_asked_for() -> None:
    """As under nohup, which lets the program ignore SIGHUP."""
    body = "import os, signal; os.kill(os.getpid(), signal.SIGHUP); print('finished')"
    command = [sys.executable, "-c", PROGRAM.format(body=body), "act"]
    run = subprocess.run(["nohup", *command], capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout) == (0, "finished\n")


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_wins_over_what_comes_out_of_a_library_that_it_meets(name: str, code: int) -> None:
    body = (
        "import os, signal, time; from recsys_cli.utils.errors import InputError\n"
        f"    try: os.kill(os.getpid(), signal.{name}); time.sleep(9)\n"
        "    except BaseException: raise InputError('the table cannot be read: panic') from None"
    )
    run = act(body)
    assert (run.returncode, run.stderr) == (
        code,
        f"error: {'terminated' if code == 143 else 'interrupted'}\n",
    )


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_that_comes_where_nothing_can_be_raised_stops_the_run_all_the_same(
    name: str, code: int
) -> None:
    """In a destructor, say: Python would say that it ignores the exception, and go on."""
    body = f"import os, signal, time; send = lambda _: os.kill(os.getpid(), signal.{name}); "
    body += "one = type('Last', (), {'__del__': send})(); del one; time.sleep(30)"
    run = act(body)
    assert run.returncode == code, run.stderr
    assert run.stderr.splitlines() == ["error: interrupted" if name == "SIGINT" else "error: terminated"]


def test_a_second_ctrl_c_ends_the_run_at_once_whatever_it_does() -> None:
    body = "import os, signal, time, contextlib; send = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
    body += "    try:\n        send(); time.sleep(30)\n    finally:\n        send(); time.sleep(30)"
    run = act(body)
    assert run.returncode == 130 and "Traceback" not in run.stderr and "ignored" not in run.stderr


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_waits_until_polars_has_done_its_call(name: str, code: int) -> None:
    """Raised within, it would make polars panic, in words that are for no user."""
    body = f"import os, signal, time, polars as pl; kill = lambda: os.kill(os.getpid(), signal.{name})\n"
    body += "    told = []\n"
    body += "    pl.Series([1]).map_elements(lambda one: (kill(), told.append(1), one)[2], pl.Int64)\n"
    body += "    print(len(told), flush=True); time.sleep(30)"
    run = act(body)
    assert (run.returncode, run.stdout.split()) == (code, ["1"]), run.stderr
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize(("command", "code"), [("--version", 5), ("config", 5), ("nonsense", 2)])
def test_where_stdout_and_stderr_are_full_the_code_tells(command: str, code: int) -> None:
    checkout = Path(__file__).parents[2]
    with open("/dev/full", "w", encoding="utf-8") as full:
        arguments = [sys.executable, "-m", "recsys_cli", "-C", str(checkout), command]
        run = subprocess.run(arguments, stdout=full, stderr=full, timeout=60, check=False)
    assert run.returncode == code


def test_ctrl_c_while_the_program_is_imported_ends_it_quietly(recsys: Run, tmp_path: Path) -> None:
    interrupt = "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(5)"
    (tmp_path / "typer.py").write_text(interrupt)  # the real one is imported first of the libraries
    run = recsys("--help")
    assert (run.returncode, run.stdout, run.stderr) == (ExitCode.INTERRUPTED, "", "")


def test_a_reader_that_leaves_does_not_stop_the_work(tmp_path: Path) -> None:
    mark = tmp_path / "finished"
    body = (
        "import pathlib; [session.terminal.show_json({'n': 'x' * 100000}) for _ in range(9)];"
        f" pathlib.Path({str(mark)!r}).touch()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body), "act"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        stderr = process.stderr.read()
        process.wait(timeout=30)
    assert (process.returncode, stderr) == (0, b"")
    assert mark.exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [("recsys con", "config"), ("recsys --env demo con", "config"), ("recsys --ver", "--verbose\n--version")],
)
def test_shell_completion_completes(recsys: Run, words: str, expected: str) -> None:
    variables = {
        "_RECSYS_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    run = recsys(env=variables)
    assert (run.returncode, run.stdout.split(), run.stderr) == (0, expected.split(), "")


def test_completion_can_be_shown() -> None:
    asked = f"{sys.executable} -m recsys_cli --show-completion; exit"  # of the shell that it runs under
    run = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, timeout=60, check=False)
    assert "_RECSYS_COMPLETE=complete_bash" in run.stdout
