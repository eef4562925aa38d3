"""Expressions of rules that reach for files and addresses: refused by one message, nothing is opened."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.conftest import DAY, write_inputs

_CALLS = (
    "read_csv('{file}')",
    "READ_PARQUET('{file}')",
    "\"read_csv\"('{file}')",
    "`read_ipc` ('{file}')",
    "read_json('http://127.0.0.1:9/stolen')",
    "read_parquet('s3://bucket/stolen.parquet')",
)
_HOSTILE = (
    "item_id IN (SELECT x FROM {call})",
    "EXISTS (SELECT 1 FROM {call})",
    "(SELECT max(x) FROM {call}) > 1",
    "item_id IN (WITH t AS (SELECT x FROM {call}) SELECT x FROM t)",
    "item_id IN (SELECT i.x FROM {call} AS i JOIN users ON users.user_id = i.x)",
    "item_id = 1 UNION SELECT x FROM {call}",
    "item_id = 1; SELECT x FROM {call}",
    "item_id IN (1) /* /* */ */ OR {call} = 1",
    "price = {call}",
)
_OTHERS = (
    "users.age IN (SELECT age FROM users)",
    "items JOIN users ON TRUE",
    "'/etc/passwd'::REGCLASS IS NULL",
    "pg_read_file('{file}') IS NULL",
    "current_date > date '2026-01-01'",
    "^.*$ = 1",
    "price > " + "(" * 500 + "1" + ")" * 500,
    "NOT " * 3_000 + "(price > 1)",
    "price > " + " + ".join(["1"] * 5_000),
    "price > 1 OR title = '" + "x" * 1_000_000 + "'",
    "price > " + "9" * 100_000,
)
_KEYS = ("when = '''{text}'''\nblock = true", "items = '''{text}'''\nblock = true", "require = '''{text}'''")


@dataclass(frozen=True)
class Traced:
    """What a run did: its exit code and output, and the files and addresses that it opened."""

    code: int
    out: str
    err: str
    calls: str


def hostile() -> list[str]:
    """Return the expressions: each form with one of the calls, so that each call has several forms."""
    forms = [
        form.replace("{call}", _CALLS[(place + more) % len(_CALLS)])
        for more in (0, 2, 4)
        for place, form in enumerate(_HOSTILE)
    ]
    return [*forms, *_OTHERS]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace beside a file that nothing may open."""
    root = tmp_path_factory.mktemp("hostile")
    write_inputs(root)
    (root / "canary.csv").write_text("x\n1\n")
    return root


def traced(root: Path, *args: str) -> Traced:
    """Run the program, and watch what it and its threads open."""
    trace = root / "trace"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RECSYS_")}
    done = subprocess.run(
        [
            *("strace", "-f", "-qq", "-s", "300", "-e", "trace=open,openat,connect", "-o", str(trace)),
            *(sys.executable, "-m", "recsys_cli", "-C", str(root), *args, "--date", str(DAY)),
        ],
        env=clean,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Traced(done.returncode, done.stdout, done.stderr, trace.read_text(errors="replace"))


@pytest.fixture(scope="module", autouse=True)
def _may_trace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: what is opened cannot be watched")
    tried = subprocess.run(["strace", "-e", "trace=openat", "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"strace may not trace here: {tried.stderr.decode(errors='replace')[:200]}")


def write_rules(root: Path, texts: list[str]) -> None:
    """Write a rule for each expression: in `when`, `items` and `require` by turns."""
    rules = [
        f"[[default.rules]]\nname = 'rule {place + 1}'\n" + _KEYS[place % 3].format(text=text)
        for place, text in enumerate(texts)
    ]
    (root / "settings/rules.toml").write_text("\n".join(rules).replace("{file}", str(root / "canary.csv")))


def assert_opened_nothing(run: Traced) -> None:
    assert "/settings/rules.toml" in run.calls  # it is watched
    assert "canary" not in run.calls and "stolen" not in run.calls and "/etc/passwd" not in run.calls
    assert not re.search(r"connect\(.*AF_INET", run.calls)


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_an_expression_of_a_rule_opens_nothing(root: Path, turn: int) -> None:
    texts = hostile()
    texts = texts[turn:] + texts[:turn]  # each in another key
    write_rules(root, texts)
    run = traced(root, "check" if turn else "score")
    assert (run.code, run.out) == (2, "")
    assert run.err.count("error: ") == 1 and "Traceback" not in run.err
    for number in range(1, len(texts) + 1):
        lines = [line for line in run.err.splitlines() if line.lstrip().startswith(f"rule {number}, ")]
        assert len(lines) == 1 and len(lines[0]) < 900, (texts[number - 1][:200], lines)
    assert_opened_nothing(run)


def test_what_exploration_draws_from_opens_nothing(root: Path) -> None:
    (root / "settings/rules.toml").write_text("")
    text = f"item_id IN (SELECT x FROM read_csv('{root / 'canary.csv'}'))"
    run = traced(root, "--set", f"scoring.explore_items={text}", "check")
    assert (run.code, run.out) == (2, "")
    assert "scoring.explore_items = " in run.err and "contains SELECT" in run.err
    assert_opened_nothing(run)


def test_what_only_the_tables_show_to_be_wrong_opens_nothing(root: Path) -> None:
    file = root / "canary.csv"
    write_rules(
        root, [f"title IN ('{file}', 'http://127.0.0.1:9/stolen')", "read_csv > 1", "title = 'x' > 1"]
    )
    run = traced(root, "check")
    assert run.code == 1 and "uses the column 'read_csv' of items, which is missing" in run.out
    assert_opened_nothing(run)
