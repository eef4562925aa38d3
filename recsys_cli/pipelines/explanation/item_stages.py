"""Why an item is in a user's list, or why not: the stage that decided, and by how much."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from recsys_cli.data_preparation.features.eligibility import available, unlisted
from recsys_cli.data_preparation.features.feature_tables import (
    DAYS_AGO,
    EVENTS,
    FeatureTables,
    seen_pairs,
)
from recsys_cli.data_preparation.tables.ids import close_ids, index_of
from recsys_cli.models.candidates.protocol import CandidateGenerator, Pairs
from recsys_cli.models.feature_encoding import Encoders
from recsys_cli.models.postprocessing.sold_out import SoldOut
from recsys_cli.models.reranking.ranker import Ranker
from recsys_cli.models.two_stage import ALONE, BoundDay
from recsys_cli.pipelines.explanation.list_rules import UserRules
from recsys_cli.utils.columns import (
    AVAILABLE_FROM,
    AVAILABLE_UNTIL,
    ELIGIBLE,
    EXCLUDED,
    ITEM,
    ITEM_ID,
    LISTED,
    RANK,
    RAW_SCORE,
    SCORE,
    TITLE,
    USER,
)
from recsys_cli.utils.errors import UnknownItemError

FeatureValue = Any  # of a table's column, as JSON has it
FeatureValues = Mapping[str, FeatureValue]


class DecidingStage(StrEnum):
    """Where it was decided whether an item is in a list, in the order of the stages."""

    VIEWED = "viewed"
    NOT_LISTED = "not listed"
    UNAVAILABLE = "unavailable"
    EXCLUDED = "excluded"
    REMOVED = "removed by a rule"
    NOT_PROPOSED = "not proposed"
    NOT_SHORTLISTED = "not shortlisted"
    RERANKED = "reranked"
    OUTRANKED = "outranked by a rule"
    SOLD_OUT = "sold out"
    RECOMMENDED = "recommended"


@dataclass(frozen=True)
class RankedUser:
    """A user's candidates in the ranker's order, with every feature.

    Attributes:
        listed: rows of the frame that are the list, in its order.
        rules: what came behind the ranker.
    """

    frame: pl.DataFrame
    top_k: int
    ranker: Ranker
    features: FeatureTables
    encoders: Encoders
    listed: list[int]
    rules: UserRules

    @cached_property
    def compared(self) -> list[int]:
        """Rows of the list, and as many candidates behind it."""
        others = [row for row in range(min(2 * self.top_k, len(self.frame))) if row not in self.listed]
        return (self.listed + others)[: 2 * self.top_k]

    def feature_values(self, row: FeatureValues) -> FeatureValues:
        """Return the ranker's features in a row of the frame: categories by their values, NaN as None."""
        values = {name: row[name] for name in self.ranker.columns}
        for name in self.ranker.categories:
            side, _, feature = name.partition("_")
            is_user = side == USER
            entities, place = (self.features.users, 0) if is_user else (self.features.items, row[ITEM])
            encoder = self.encoders.users if is_user else self.encoders.items
            values[name] = encoder.in_words(feature, entities[feature][place])
        return plain(values)

    @cached_property
    def contributions(self) -> np.ndarray:
        """SHAP values of the list and of as many candidates after it, (rows, columns + 1), the base last."""
        return self.ranker.contributions(self.frame[self.compared])

    def place(self, item: int) -> int | None:
        """Return the row of an item, None where it is no candidate."""
        found = (self.frame[ITEM] == item).arg_true()
        return int(found[0]) if len(found) else None


@dataclass(frozen=True)
class ViewedFacts:
    """How often the user has had an item, and when last."""

    events: int
    days_ago: float


@dataclass(frozen=True)
class ItemInSource:
    """An item as one source ranks it.

    Attributes:
        rank, score: among all that it may propose to the user; None where it knows nothing of the item.
        needed: the last rank that it proposes.
    """

    proposed: bool
    rank: int | None
    score: float | None
    needed: int


@dataclass(frozen=True)
class RankedItem:
    """A candidate as the ranker scores it.

    Attributes:
        rank: among `candidates`; score, raw_score: None off the shortlist.
        contributions: SHAP values by feature.
        against: contributions minus those of the last recommended item.
    """

    rank: int
    score: float | None
    raw_score: float | None
    candidates: int
    base_value: float
    contributions: dict[str, float]
    features: FeatureValues
    against: dict[str, float]


@dataclass(frozen=True)
class ItemExplanation:
    """Why an item is in a list, or why not.

    Attributes:
        stage: where it was decided; blocked_by: all of the first four stages that keep the item out.
        ranked: None where the item is no candidate.
        rule: the rule that removed or outranked it, or gave it its place; empty for none.
        sold_out: the rank that it would have, had a quota left some; None: none cut it off.
    """

    item_id: int | str
    title: str | None
    stage: DecidingStage
    blocked_by: list[DecidingStage]
    viewed: ViewedFacts | None
    available_from: date | None
    available_until: date | None
    sources: dict[str, ItemInSource]
    ranked: RankedItem | None
    rule: str = ""
    sold_out: SoldOut | None = None

    def as_json(self) -> dict[str, object]:
        """Return the explanation as a JSON object; the ranker's fields stand beside the others."""
        plain = asdict(self)
        ranked = plain.pop("ranked") or {}
        for name in (AVAILABLE_FROM, AVAILABLE_UNTIL):
            plain[name] = None if plain[name] is None else str(plain[name])
        return {**plain, "stage": str(self.stage), "blocked_by": list(map(str, self.blocked_by)), **ranked}


def explain_item(item_id: str, features: FeatureTables, day: BoundDay, ranked: RankedUser) -> ItemExplanation:
    """Return the stage that decided about an item, and what it decided by.

    Args:
        features, day: of this user only.

    Raises: UnknownItemError with close matches.
    """
    item = _find(item_id, features)
    row = features.items.row(item, named=True)
    viewed = _viewed(item, features) if day.filter_viewed else None
    blocked = _blocked_by(row, features.day, is_viewed=viewed is not None)
    place = ranked.place(item)
    stage = _deciding_stage(blocked, place, ranked, ranked.rules.removed_by([item])[0])
    return ItemExplanation(
        item_id=row[ITEM_ID],
        title=row[TITLE],
        stage=stage,
        blocked_by=blocked,
        viewed=viewed,
        available_from=row[AVAILABLE_FROM],
        available_until=row[AVAILABLE_UNTIL],
        sources={source.name: _source(source, item, day, features) for source in day.generators},
        ranked=None if place is None else _ranked(place, ranked),
        rule=_rule_of(item, stage, ranked.rules),
        sold_out=ranked.rules.sold_out.get(item),
    )


def _rule_of(item: int, stage: DecidingStage, rules: UserRules) -> str:
    """Return the rule that gave an item its place, or kept it from one; empty for none."""
    if stage is DecidingStage.RECOMMENDED:
        return next((row.rule for row in rules.listed() if row.item == item), "")
    if stage in (
        DecidingStage.REMOVED,
        DecidingStage.OUTRANKED,
        DecidingStage.SOLD_OUT,
        DecidingStage.RERANKED,
    ):
        return rules.why_not(item)
    return ""


def left_out(features: FeatureTables, bound: BoundDay) -> dict[str, int]:
    """Return how many items each of the first stages excludes; an item counts at the first that does."""
    items, day = features.items, features.day
    viewed = pl.Series(values=np.zeros(len(items), dtype=bool))
    if bound.filter_viewed:
        had = seen_pairs(features.pairs)[ITEM].to_numpy()
        viewed = pl.Series(values=np.isin(np.arange(len(items)), had))
    reasons = {
        DecidingStage.VIEWED: viewed,
        DecidingStage.NOT_LISTED: unlisted(items),
        DecidingStage.UNAVAILABLE: items.select(~available(day)).to_series(),
        DecidingStage.EXCLUDED: items[EXCLUDED].fill_null(False),
    }
    counts, counted = dict[str, int](), np.zeros(len(items), dtype=bool)
    for stage, holds in reasons.items():
        counts[str(stage)] = int((holds.to_numpy() & ~counted).sum())
        counted |= holds.to_numpy()
    return counts


def _find(item_id: str, features: FeatureTables) -> int:
    ids = features.items[ITEM_ID]
    place = index_of(ids, item_id)
    if place is not None:
        return place
    raise UnknownItemError(
        f"item {item_id!r} is unknown before {features.day}",
        where="--item",
        fix=f"close ids: {', '.join(close_ids(ids, item_id))}",
    )


def _viewed(item: int, features: FeatureTables) -> ViewedFacts | None:
    own = seen_pairs(features.pairs).filter(pl.col(ITEM) == item)
    if own.is_empty():
        return None
    row = own.row(0, named=True)
    return ViewedFacts(row[EVENTS], round(row[DAYS_AGO], 2))


def _blocked_by(row: FeatureValues, day: date, *, is_viewed: bool) -> list[DecidingStage]:
    item = pl.DataFrame([row], schema_overrides={AVAILABLE_FROM: pl.Date, AVAILABLE_UNTIL: pl.Date})
    is_available = item.select(available(day)).item()
    holds = {
        DecidingStage.VIEWED: is_viewed,
        DecidingStage.NOT_LISTED: not row.get(LISTED, True),
        DecidingStage.UNAVAILABLE: not is_available,
        DecidingStage.EXCLUDED: bool(row[EXCLUDED]),
    }
    return [stage for stage, does in holds.items() if does]


def _deciding_stage(
    blocked: list[DecidingStage], place: int | None, ranked: RankedUser, removed_by: str
) -> DecidingStage:
    if blocked or removed_by:
        return blocked[0] if blocked else DecidingStage.REMOVED
    if place is None:
        return DecidingStage.NOT_PROPOSED
    if place in ranked.listed:
        return DecidingStage.RECOMMENDED
    return _stage_of_unlisted(place, ranked)


def _stage_of_unlisted(place: int, ranked: RankedUser) -> DecidingStage:
    """Return why a candidate that may be in the list is not."""
    if ranked.frame[ITEM][place] in ranked.rules.sold_out:
        return DecidingStage.SOLD_OUT
    raw = ranked.frame[RAW_SCORE]
    if raw[place] is None:
        return DecidingStage.NOT_SHORTLISTED
    is_better = any(raw[row] is None or raw[place] > raw[row] for row in ranked.listed)
    return DecidingStage.OUTRANKED if is_better else DecidingStage.RERANKED


def _source(source: CandidateGenerator, item: int, day: BoundDay, features: FeatureTables) -> ItemInSource:
    """Return the place that a source gives an item among all that it may propose to the user."""
    chunk, size = day.chunk(ALONE), len(features.items)
    proposals = source.score(chunk)
    everything = Pairs(np.array([0, size], dtype=np.int64), np.arange(size, dtype=np.int32))
    scores = proposals.of_pairs(everything)
    rivals = features.items[ELIGIBLE].to_numpy().copy()
    rivals[chunk.viewed.indices] = False
    score = float(scores[item])
    knows = np.isfinite(score) and (source.floor_is_last or score > 0)
    return ItemInSource(
        proposed=bool((proposals.lists[0] == item).any()),
        rank=1 + int((scores[rivals] > score).sum()) if knows else None,
        score=score if np.isfinite(score) else None,
        needed=int(proposals.lists.shape[1]),
    )


def _ranked(place: int, ranked: RankedUser) -> RankedItem:
    row = ranked.frame.row(place, named=True)
    last = ranked.listed[-1] if ranked.listed else len(ranked.frame) - 1
    pair = ranked.ranker.contributions(ranked.frame[[place, last]])
    names = ranked.ranker.columns
    return RankedItem(
        rank=row[RANK],
        score=row[SCORE],
        raw_score=row[RAW_SCORE],
        candidates=len(ranked.frame),
        base_value=float(pair[0, -1]),
        contributions=dict(zip(names, pair[0, :-1].tolist(), strict=True)),
        features=ranked.feature_values(row),
        against=dict(zip(names, (pair[0, :-1] - pair[1, :-1]).tolist(), strict=True)),
    )


def plain(values: Mapping[str, FeatureValue]) -> FeatureValues:
    """Return the values with NaN as None: JSON has no NaN."""
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in values.items()
    }
