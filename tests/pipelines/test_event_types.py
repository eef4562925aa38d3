"""The promise of types of events where the ground truth is known: looks are evidence, purchases labels."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from recsys_cli.configs.dotted_keys import with_values
from recsys_cli.configs.loader import load_settings
from recsys_cli.data_preparation.demo_data.generate import DemoShape
from recsys_cli.models.evaluation.daily_evaluation import TWO_STAGES
from recsys_cli.models.evaluation.metrics import NDCG, bootstrap_interval
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.pipelines.evaluate import EvaluationRequest, evaluate_holdout, read_holdout
from recsys_cli.pipelines.init import init_demo
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.run_record import begin_run
from recsys_cli.utils.columns import USER

REQUEST = EvaluationRequest(date(2026, 6, 17), days=14, k=10)
LIGHT = {
    "candidates.lightfm.epochs": 2,
    "candidates.lightfm.no_components": 8,
    "ranker.iterations": 40,
    "runtime.threads": 1,
    "ranker.members": 1,
    "ranker.label_windows": 2,
}
AS_PURCHASES: dict[str, Any] = {
    f"data.events.{name}.{key}": value
    for name in ("view", "cart")
    for key, value in {"weight": 1.0, "label": True, "half_life_days": 0.0, "cap_per_day": 0}.items()
}


def test_purchases_as_labels_and_looks_as_evidence_beat_looks_as_purchases(tmp_path: Path) -> None:
    init_demo(tmp_path, DemoShape(500, 120, 120, 42, 40.0, "shop"))
    settings = with_values(load_settings(tmp_path, None, [], settings_tree()).settings, LIGHT)
    as_purchases = with_values(settings, AS_PURCHASES)
    relevant = None
    ndcg = {}
    for name, one in (("evidence", settings), ("purchases", as_purchases)):
        workspace = Workspace(tmp_path, one)
        run = begin_run(workspace, "evaluate")
        holdout = read_holdout(workspace, REQUEST, run)
        relevant = holdout.ground_truth if relevant is None else relevant
        result = evaluate_holdout(replace(holdout, ground_truth=relevant), workspace, run)
        ndcg[name] = result.by_user[TWO_STAGES].sort(USER)[NDCG]

    assert relevant is not None and relevant[USER].n_unique() > 100
    low, _ = bootstrap_interval((ndcg["evidence"] - ndcg["purchases"]).to_numpy())
    assert low > 0.02
    assert np.mean(ndcg["purchases"].to_numpy()) > 0.05
