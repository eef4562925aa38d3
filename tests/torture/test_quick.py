"""A few faults of each kind, met by real runs; `make torture` has all of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.torture.case import Family
from tests.torture.families import FAMILIES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """The result of a quick run, by family."""
    result = tmp_path_factory.mktemp("torture") / "torture.json"
    command = [sys.executable, "-m", "tests.torture", "--quick", "--result", str(result)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert result.exists(), done.stderr
    return {row["name"]: row for row in json.loads(result.read_text())["rows"]}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_promise_holds(rows: dict[str, dict[str, object]], family: Family) -> None:
    row = rows[family.name]
    if row["not_run"]:
        pytest.skip(str(row["not_run"]))
    assert row["cases"] and not row["failures"]
