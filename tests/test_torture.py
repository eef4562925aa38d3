"""The quick form of `make torture`: a few cases of every fault, met by real runs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.torture.families import FAMILIES

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the harness reports of each family."""
    result = tmp_path_factory.mktemp("torture") / "result.json"
    command = [sys.executable, "-m", "tests.torture", "--quick", "--workers", "2"]
    command += ["--result", str(result)]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)
    assert result.exists(), output.stderr
    return {row["name"]: row for row in json.loads(result.read_text())["rows"]}


@pytest.mark.parametrize("name", [family.name for family in FAMILIES])
def test_the_promise_holds(rows: dict[str, dict[str, Any]], name: str) -> None:
    row = rows[name]
    if row["not_run"]:
        pytest.skip(row["not_run"])
    assert row["cases"] > 0 and not row["failures"], row["failures"]
