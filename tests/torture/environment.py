"""Faults of the environment, through the program as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path

from recsys_cli.utils.errors import ExitCode
from tests.torture.case import Case, Family, some
from tests.torture.checks import intact, spoken
from tests.torture.lab import DAY, SCORE, Kit, Lab
from tests.torture.program import HUNG, PATIENCE, Outcome, environment

_THREADS = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")
_SENSELESS = ("-1", "x", "99999999", "1.5")
_SIZES = ("POLARS_IDEAL_MORSEL_SIZE=0", "POLARS_ASYNC_THREAD_COUNT=0", "POLARS_REGEX_SIZE_LIMIT=x")
_HARMLESS = {
    "no home": "unset HOME; exec {program} -q score --date {day}",
    "LANG=C": "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 exec {program} -q score --date {day}",
    "no TMPDIR": "TMPDIR=/no/such/folder exec {program} -q score --date {day}",
    "no folder for machine code": "NUMBA_CACHE_DIR=/no/such/folder exec {program} -q score --date {day}",
    "stdin closed": "exec {program} -q score --date {day} <&-",
    "all closed": "exec {program} -q score --date {day} <&- >&- 2>&-",
    "a deleted current folder": "mkdir gone; cd gone; rmdir ../gone; exec {program} -q score --date {day}",
}
_LIMITS = (
    100_000,
    200_000,
    400_000,
    800_000,
    1_200_000,
    1_600_000,
    2_400_000,
    3_200_000,
    4_400_000,
)  # KiB of address space
_BYTES = "$'\\xff\\xfe'"
_REFUSED = {
    "a deleted current folder, relative": "mkdir gone; cd gone; rmdir ../gone; exec {relative} config",
    "an option nested deep": "exec {program} --set scoring.top_k=$(printf '[%.0s' {{1..5000}}) config",
    "a key nested deep": "exec {program} --set $(printf 'a.%.0s' {{1..5000}})b=1 config",
    "an option of 5,000 digits": "exec {program} --set scoring.top_k=$(printf '9%.0s' {{1..5000}}) config",
    "a variable of 5,000 digits": "RECSYS_SCORING__TOP_K=$(printf '9%.0s' {{1..5000}}) exec {program} config",
    "a list of 5,000 digits": "exec {program} score --top-k $(printf '9%.0s' {{1..5000}})",
    "a setting that is no UTF-8": f"exec {{program}} --set output.runs={_BYTES} score --date {{day}}",
    "a key that is no UTF-8": f"exec {{program}} --set {_BYTES}=1 config",
    "an expression that is no UTF-8": f"exec {{program}} --set scoring.exclude={_BYTES} check",
    "a variable that is no UTF-8": f"RECSYS_DATA__ITEMS__PATH={_BYTES} exec {{program}} check --date {{day}}",
    "an environment that is no UTF-8": f"exec {{program}} --env {_BYTES} config",
    "a date that is no UTF-8": f"exec {{program}} score --date {_BYTES}",
    "a command that is no UTF-8": f"exec {{program}} {_BYTES}",
    "a user that is no UTF-8": f"exec {{program}} explain {_BYTES}",
    "a folder that is no UTF-8": f"exec {{relative}} -C {_BYTES} config",
}
_FILES = {
    "a file nested deep": "[default.scoring]\ntop_k = " + "[" * 10_000 + "]" * 10_000,
    "a table nested deep": "[default." + "a." * 5_000 + "b]\nc = 1",
    "a number of 5,000 digits": "[default.scoring]\ntop_k = " + "9" * 5_000,
    "a number of 1,000 digits": "[default.scoring]\ntop_k = " + "9" * 1_000,
}
_DATES = ("0001-01-01", "1969-12-31", "9999-12-31")


def faults(_lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield variables, limits, options, files and dates."""
    variables = [f"{name}={value}" for name in _THREADS for value in _SENSELESS]
    variables += [f"{name}=0" for name in _THREADS[:3]]
    refused, ended = {ExitCode.USAGE}, {ExitCode.OK, ExitCode.OUTPUT}
    score = f"exec {{program}} -q {' '.join(SCORE)}"
    cases = [Case(one, partial(_run, f"{one} {score}", refused, one.partition("=")[0])) for one in variables]
    cases += [Case(one, partial(_run, f"{one} {score}", refused, one.partition("=")[0])) for one in _SIZES]
    cases += [Case(name, partial(_run, script, refused, "where:")) for name, script in _REFUSED.items()]
    cases += [Case(name, partial(_with_file, text, "settings.local.toml")) for name, text in _FILES.items()]
    yield from some(cases, quick, 3)
    limits = [
        Case(f"ulimit -v {size}", partial(_run, f"ulimit -v {size}; {score}", ended, "ulimit -v"))
        for size in _LIMITS
    ]
    yield from some(limits, quick, 1)
    yield from some(
        [Case(name, partial(_run, script, {ExitCode.OK}, "")) for name, script in _HARMLESS.items()], quick, 1
    )
    codes = {ExitCode.USAGE, ExitCode.INPUT, ExitCode.MODEL}
    script = "exec {program} -q score --date "
    yield from some([Case(one, partial(_run, script + one, codes, "where:")) for one in _DATES], quick, 1)


def _run(script: str, codes: Collection[int], words: str, kit: Kit) -> list[str]:
    return _ended(kit.workspace(kit.lab.ready), script, codes, words, kit)


def _with_file(text: str, name: str, kit: Kit) -> list[str]:
    workspace = kit.workspace(kit.lab.ready)
    (workspace / "settings" / name).write_text(text)
    return _ended(workspace, "exec {program} config", {ExitCode.USAGE}, name, kit)


def _ended(workspace: Path, script: str, codes: Collection[int], words: str, kit: Kit) -> list[str]:
    relative = f"{sys.executable} -m recsys_cli"
    filled = script.format(program=f"{relative} -C {workspace}", relative=relative, day=DAY)
    outcome = _bash(filled, kit.scratch, {"PYTHONPATH": os.getcwd()})
    problems = spoken(outcome, codes)
    if words not in outcome.err and outcome.code != ExitCode.OK:
        problems.append(f"{words} is not named: {outcome.err[:200]}")
    return [*problems, *intact(workspace, kit.lab.old, kit.lab.new if ExitCode.OK in codes else b"")]


def _bash(script: str, folder: Path, env: Mapping[str, str]) -> Outcome:
    with subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=environment() | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            return Outcome(HUNG, "", "")
    return Outcome(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


FAMILIES = (
    Family(
        "environment",
        "senseless variables, limits of memory, deep settings, no UTF-8, no folder",
        "it works; or the documented exit code, and what is at fault is named",
        faults,
    ),
)
