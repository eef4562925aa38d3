"""The published lists against the plain path on real data: all items looked at, CatBoost's own prediction."""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from catboost import Pool

from recsys_cli.cli.app import main
from recsys_cli.configs.loader import load_settings
from recsys_cli.models.candidates.protocol import Pairs
from recsys_cli.models.reranking.tree_ensemble import FIRST_TREES
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.models.two_stage import BoundDay, candidate_frame, open_items
from recsys_cli.pipelines.explain import explain_user
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.promoted_model import open_bundle, open_fitting_features
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay

DAY = date(2010, 11, 26)
K, SHORTLIST = 10, 100
LIGHT = ("candidates.lightfm.epochs=2", "ranker.label_windows=2", "ranker.iterations=100")


@pytest.fixture(scope="module")
def trained(retail_sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop")
    tables = [f"--{name}={retail_sample}/{name}.parquet" for name in ("interactions", "users", "items")]
    sets = [word for one in LIGHT for word in ("--set", one)]
    for command in (
        ["init", str(root), "--preset", "generic", *tables],
        ["-C", str(root), *sets, "train", "--date", str(DAY)],
    ):
        main(["-q", *command])
    version = next((root / "models").glob("*/manifest.json")).parent.name
    assert main(["-q", "-C", str(root), "models", "promote", version, "--force"]) == 0
    return root


def scored(root: Path, *options: str) -> pl.DataFrame:
    sets = [word for one in options for word in ("--set", one)]
    assert main(["-q", "-C", str(root), *sets, "score", "--date", str(DAY), "--force"]) == 0
    return pl.read_parquet(root / f"recommendations/date={DAY}/recommendations.parquet")


def best(frame: pl.DataFrame, by: str, most: int) -> pl.DataFrame:
    ordered = frame.cast({by: pl.Float32}).sort("user", by, "item", descending=[False, True, False])
    return ordered.with_columns(pl.int_range(1, pl.len() + 1).over("user").alias("rank")).filter(
        pl.col("rank") <= most
    )


def proposed_by_looking_at_every_item(day: BoundDay) -> set[tuple[int, int]]:
    """The best unseen, eligible items of every source by its scores of all pairs."""
    users, items = day.history.shape
    everything = Pairs(np.arange(users + 1) * items, np.tile(np.arange(items, dtype=np.int32), users))
    viewed = day.history.toarray() > 0
    pairs: set[tuple[int, int]] = set()
    for generator in day.generators:
        proposed = generator.score(day.chunk(np.arange(users, dtype=np.uint32)))
        scores = proposed.of_pairs(everything).reshape(users, items).astype(np.float64)
        scores[viewed | np.isnan(scores)] = -np.inf
        if generator.name.startswith("popular"):
            continue  # ties by all events: their own test has them
        if generator.name != "lightfm":
            scores[scores <= 0] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, : proposed.lists.shape[1]]
        pairs |= {(u, int(i)) for u in range(users) for i in order[u] if np.isfinite(scores[u, i])}
    return pairs


def off_the_shortlist(root: Path, user_id: str, published: pl.DataFrame) -> int:
    """Compare a user's explanation with the published list; return how many candidates have no score."""
    loaded = load_settings(root, None, (), settings_tree())
    explanation = explain_user(Workspace(loaded.workspace, loaded.settings), user_id, DAY)
    own = published.filter(pl.col("user_id").cast(pl.String) == user_id)
    first = explanation.candidates[:K]
    assert [row.item_id for row in first] == own["item_id"].to_list()
    assert [row.score for row in first] == own["score"].to_list()
    assert [row.rank for row in explanation.candidates] == list(range(1, len(explanation.candidates) + 1))
    scored = [row.score is not None for row in explanation.candidates]
    assert scored == sorted(scored, reverse=True) and sum(scored) == min(SHORTLIST, len(scored))
    return len(scored) - sum(scored)


def test_the_lists_are_those_of_the_plain_path_whatever_the_chunk_and_the_threads(trained: Path) -> None:
    loaded = load_settings(trained, None, (), settings_tree())
    workspace = Workspace(loaded.workspace, loaded.settings)
    bundle = open_bundle(ScoringDay(workspace, DAY))
    stored = open_fitting_features(ScoringDay(workspace, DAY), bundle).features
    everybody = stored.span(0, len(stored.user_ids))
    day, ranker = open_items(bundle.model.stage, stored, 1).of_users(everybody), bundle.model.ranker
    frame = candidate_frame(np.arange(len(everybody.users), dtype=np.uint32), day)
    ours = set(frame.select("user", "item").iter_rows())
    assert len(proposed_by_looking_at_every_item(day) - ours) <= 1e-4 * len(ours)  # but for equal products
    pool = Pool(frame.select(ranker.columns), cat_features=list(ranker.categories))
    assert ranker.model.tree_count_ > 2 * FIRST_TREES
    every = frame.select(
        "user",
        "item",
        raw=ranker.model.predict(pool),
        first=ranker.model.predict(pool, ntree_end=FIRST_TREES),
    )
    shortlist = best(every, "first", SHORTLIST)
    assert len(shortlist) < 0.5 * len(every)
    plain = best(shortlist, "raw", K)
    score = 1 / (1 + np.exp(-(ranker.calibration.slope * plain["raw"] + ranker.calibration.intercept)))

    for options in (
        ("scoring.chunk_users=1024", "runtime.threads=2"),
        ("scoring.chunk_users=77", "runtime.threads=1"),
        ("scoring.chunk_users=1", "runtime.threads=2"),
    ):
        published = scored(trained, *options)
        assert published["user_id"].equals(stored.user_ids.gather(plain["user"]))
        assert published["item_id"].equals(stored.items["item_id"].gather(plain["item"]))
        assert published["rank"].to_list() == plain["rank"].to_list()
        np.testing.assert_allclose(published["score"], score, atol=1e-5)
    best_alone = scored(trained, "scoring.top_k=1")
    assert best_alone.equals(published.filter(pl.col("rank") == 1))
    published = scored(trained)
    assert off_the_shortlist(trained, str(published["user_id"][0]), published) > 0
