"""`recsys evaluate --rules` and `--diversity`, against files that `score` publishes and plain Python."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from math import log2
from pathlib import Path
from statistics import mean
from typing import Any

import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode

Refused = Callable[..., str]
Lists = dict[str, list[int]]  # items by user, best first
DAY, DAYS, K = "2026-02-23", 7, 5
SOURCES = "lightfm popular segment content bm25 bm25_recent cosine cosine_recent ease ease_recent".split()
NARROW = "".join(f"[default.candidates.{name}]\nnum_candidates = 5\n" for name in SOURCES)
RULES = {
    "no news": "block = true\nitems = \"genre = 'news'\"\nwhen = \"city = 'Oslo'\"",
    "cheap for the young": 'require = "items.price < users.age"',
    "crime is loud": "boost = 3\nitems = \"genre = 'crime'\"",
    "one of a genre": 'limit = { by = "genre", at_most = 2 }',
    "campaign": 'pin = { places = [2] }\nitems = "price > 40"',
    "something cheap": 'at_least = 2\nitems = "price < 10"',
}


@pytest.fixture(scope="module")
def trained(scored: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose model was trained before the day; no lists, no records of runs."""
    root = tmp_path_factory.mktemp("trained") / "workspace"
    for name in ("settings", "data"):
        shutil.copytree(scored / name, root / name)
    (root / "settings/settings.local.toml").write_text(NARROW)  # most items are no candidates of a user
    assert main(["-q", "-C", str(root), "train", "--date", DAY]) == ExitCode.OK
    return root


@pytest.fixture
def workspace(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "workspace", ignore=shutil.ignore_patterns("runs")))


def write_rules(root: Path, rules: dict[str, str]) -> None:
    text = "".join(f'[[default.rules]]\nname = "{name}"\n{body}\n' for name, body in rules.items())
    (root / "settings/rules.toml").write_text(text)


def published(root: Path, *options: str) -> Lists:
    """Score the day, and return the lists of the file."""
    command = ["-q", "-C", str(root), *options, "score", "--date", DAY, "--top-k", str(K), "--force"]
    assert main(command) == ExitCode.OK
    file = root / f"recommendations/date={DAY}/recommendations.parquet"
    lists: Lists = {}
    for user, item in pl.read_parquet(file).sort("user_id", "rank").select("user_id", "item_id").iter_rows():
        lists.setdefault(user, []).append(item)
    return lists


def evaluated(root: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    capsys.readouterr()
    window = ["--date", DAY, "--days", str(DAYS), "--k", str(K)]
    assert main(["-C", str(root), "evaluate", *window, "--json", *options]) == ExitCode.OK
    output: dict[str, Any] = json.loads(capsys.readouterr().out)
    return output


class Window:
    """What users took in the days from the day on, and had before, in plain Python."""

    def __init__(self, root: Path) -> None:
        begin = datetime.fromisoformat(DAY)
        had: dict[str, set[int]] = {}
        self.taken: dict[str, set[int]] = {}
        rows = pl.read_parquet(root / "data/interactions.parquet").sort("timestamp").to_dicts()
        for row in rows:
            if row["timestamp"] < begin:
                had.setdefault(row["user_id"], set()).add(row["item_id"])
        for row in rows:
            user, item = row["user_id"], row["item_id"]
            inside = begin <= row["timestamp"] < begin + timedelta(days=DAYS)
            if inside and item not in had.get(user, ()):
                self.taken.setdefault(user, set()).add(item)
        self.warm = sorted(set(self.taken) & set(had))
        self.catalogue = pl.read_parquet(root / "data/items.parquet")["item_id"].to_list()

    def ndcg(self, lists: Lists) -> list[float]:
        """NDCG of each warm user."""
        found = []
        for user in self.warm:
            hits = [
                1 / log2(place + 1) for place, item in enumerate(lists[user], 1) if item in self.taken[user]
            ]
            reach = min(len(self.taken[user]), K)
            found.append(sum(hits) / sum(1 / log2(place + 1) for place in range(1, reach + 1)))
        return found

    def measures(self, lists: Lists) -> dict[str, float]:
        """The measures of a file, over the users who took something."""
        held = Counter(item for user in self.taken for item in lists[user])
        counts = sorted(held[item] for item in self.catalogue)
        size, rows = len(counts), sum(counts)
        apart = sum(abs(one - other) for one in counts for other in counts)
        return {
            f"NDCG@{K}": mean(self.ndcg(lists)),
            f"CatalogCoverage@{K}": len(held) / size,
            f"GiniOfExposure@{K}": apart / (2 * size * rows),
            f"TopItemShare@{K}": max(counts) / len(self.taken),
        }


def test_rules_are_measured_as_the_files_of_score_are_by_plain_python(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files with all rules, without any, and without each, measured by the events after their date."""
    window = Window(workspace)
    none = published(workspace)
    write_rules(workspace, RULES)
    output = evaluated(workspace, capsys, "--rules")["rules"]
    every = published(workspace)
    files = {}
    for name in RULES:
        write_rules(workspace, {other: body for other, body in RULES.items() if other != name})
        files[name] = published(workspace)

    def expected(lists: Lists) -> dict[str, float]:
        return pytest.approx(window.measures(lists), abs=1e-9)  # type: ignore[return-value]

    def check(found: dict[str, Any], lists: Lists) -> None:
        assert {name: found["measures"][name] for name in window.measures(lists)} == expected(lists)
        apart = [one - other for one, other in zip(window.ndcg(lists), window.ndcg(every), strict=True)]
        ndcg = found["ndcg"]
        assert ndcg["difference"] == pytest.approx(mean(apart)) == found["differences"][f"NDCG@{K}"]
        assert ndcg["low"] <= ndcg["difference"] <= ndcg["high"] and ndcg["against"] == "all rules"

    all_rules = {name: output["all_rules"][name] for name in window.measures(every)}
    assert all_rules == expected(every) and every != none
    check(output["no_rule"], none)
    assert [one["rule"] for one in output["without"]] == list(RULES)
    for found in output["without"]:
        assert found["note"] is None and files[found["rule"]] != every, found["rule"]
        check(found, files[found["rule"]])


def test_diversity_is_measured_as_the_files_of_score_are(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    window = Window(workspace)
    write_rules(workspace, {"one of a genre": RULES["one of a genre"]})
    curve = evaluated(workspace, capsys, "--diversity", "0.6,0")["diversity"]

    assert (curve["k"], curve["days"], curve["by"]) == (K, DAYS, "content")
    assert [point["diversity"] for point in curve["points"]] == [0, 0.6]
    for point in curve["points"]:
        measures = window.measures(published(workspace, "--set", f"scoring.diversity={point['diversity']}"))
        assert {name: point["measures"][name] for name in measures} == pytest.approx(measures, abs=1e-9)
    plain, varied = (point["measures"][f"IntraListDiversity@{K}"] for point in curve["points"])
    assert varied > plain


def test_the_report_has_the_newest_curve(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published(workspace)
    page = workspace / "report.html"
    report = ["-C", str(workspace), "--json", "report", "--html", str(page)]
    assert main(report) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["diversity"] is None
    assert "Diversity and accuracy" not in page.read_text()
    curve = evaluated(workspace, capsys, "--diversity", "0,0.25")["diversity"]

    assert main(report) == ExitCode.OK

    found = json.loads(capsys.readouterr().out)["diversity"]
    assert found == {"run_id": found["run_id"], "date": DAY, **curve} and "-evaluate-" in found["run_id"]
    text = page.read_text()
    ndcg = curve["points"][1]["measures"][f"NDCG@{K}"]
    assert "Diversity and accuracy" in text and ">0.25</th>" in text and f"{ndcg:.4f}</td>" in text
    assert 'aria-label="Diversity and accuracy: ' in text
    record = workspace / f"runs/{found['run_id']}/run.json"
    record.write_text(record.read_text().replace('"points"', '"dots"'))
    assert main(report) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["diversity"] is None


def test_rules_that_an_evaluation_cannot_keep_count_as_without_effect(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = {
        "rest": "cooldown = { times = 1, days = 7 }",
        "stock": "quota = { at_most_lists = 3 }",
        "later": "block = true\nitems = \"genre = 'news'\"\nfrom = 2026-03-01",
        "one of a genre": RULES["one of a genre"],
    }
    write_rules(workspace, rules)
    window = ["--date", DAY, "--days", str(DAYS), "--k", str(K)]

    assert main(["-C", str(workspace), "evaluate", *window, "--rules"]) == ExitCode.OK

    shown = " ".join(capsys.readouterr().out.split())
    assert "rest counts as a rule without effect: an evaluation has no published lists" in shown
    assert "stock counts as a rule without effect: a quota is kept over the lists of all users" in shown
    assert f"later counts as a rule without effect: it does not hold on {DAY}." in shown
    assert "│ without one of a genre │" in shown and "without rest" not in shown
    (record,) = (workspace / "runs").glob("*-evaluate-*/run.json")
    found = {one["rule"]: one for one in json.loads(record.read_text())["rules"]["without"]}
    assert {name: found[name]["ndcg"]["difference"] for name in ("rest", "stock", "later")} == dict.fromkeys(
        ("rest", "stock", "later"), 0.0
    )


@pytest.mark.parametrize("values", ["", "0.1,", "a", "0,1.1", "-0.1", "nan", "0 0.1"])
def test_what_is_no_list_of_values_is_refused(refused: Refused, values: str) -> None:
    message = refused(ExitCode.USAGE, "evaluate", "--date", DAY, f"--diversity={values}")
    assert f"{values!r} is no list of numbers from 0 to 1\n  where: --diversity" in message


def test_no_rules_to_evaluate_is_said_before_the_training(refused: Refused) -> None:
    assert "there are no rules to evaluate" in refused(ExitCode.USAGE, "evaluate", "--date", DAY, "--rules")
