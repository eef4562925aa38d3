"""The promise of two stages: even trained lightly, they beat each source alone on real data."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

LIGHT = (
    "candidates.lightfm.epochs=3",
    "candidates.lightfm.no_components=16",
    "ranker.label_windows=2",
    "ranker.iterations=100",
    "ranker.members=1",
)


def test_two_stages_beat_every_single_source_and_their_blend(
    retail: Path, tmp_path: Path, recsys: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    tables = [f"--{name}={retail}/{name}.parquet" for name in ("interactions", "users", "items")]
    assert recsys("init", str(tmp_path), "--preset", "generic", *tables).returncode == 0

    options = [word for one in LIGHT for word in ("--set", one)]
    done = recsys("evaluate", "--date", "2010-11-26", "--json", *options)

    assert done.returncode == 0, done.stderr
    output = json.loads(done.stdout)
    assert output["users"] == 643
    ours = output["models"]["two stages"]["NDCG@10"]
    others = [measures["NDCG@10"] for name, measures in output["models"].items() if name != "two stages"]
    assert len(others) > 10 and ours > 1.2 * max(others)
    assert all(one["low"] > 0 for one in output["comparisons"])
