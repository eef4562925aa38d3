"""The promise of two stages: with the settings that every user gets, they beat each alone on real data."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path


def test_two_stages_beat_lightfm_and_popularity(
    shared_data: Path, tmp_path: Path, recsys: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    retail = shared_data / "online-retail-2009"
    tables = [f"--{name}={retail}/{name}.parquet" for name in ("interactions", "users", "items")]
    assert recsys("init", str(tmp_path), "--preset", "generic", *tables).returncode == 0

    done = recsys("evaluate", "--date", "2010-11-26", "--json")

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["users"] == 643
    ours = told["models"]["two stages"]["NDCG@10"]
    assert ours > 1.2 * told["models"]["popular"]["NDCG@10"]
    assert ours > 1.2 * told["models"]["lightfm"]["NDCG@10"]
    assert all(one["low"] > 0 for one in told["comparisons"])
