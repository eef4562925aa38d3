"""How the two stages and their rivals did, as reports and manifests keep it."""

from typing import Annotated

from pydantic import Field

from recsys_cli.utils.json_record import Count, Day, Figure, JsonRecord, Share, Word

Measures = dict[Word, Figure]  # by name and length of the lists, such as NDCG@10


def popularity_figure(k: int) -> str:
    """Return the name under which a segment has the measure of popularity."""
    return f"NDCG@{k} of popularity"


class Comparison(JsonRecord):
    """The two stages against another contestant: mean difference a user, 95 % interval."""

    metric: Word
    against: Word
    difference: Figure
    low: Figure
    high: Figure


class SourceShare(JsonRecord):
    """The share of the relevant pairs that a source proposes, and of those that no other proposes."""

    recall: Share
    alone: Share


class StageBudget(JsonRecord):
    """Where relevant pairs are lost.

    Attributes:
        candidate_recall: share of the relevant pairs that any source proposes.
        ranker_share: hits of the ranker, of those that the best order of the candidates would have.
    """

    relevant_pairs: Count
    candidate_recall: Share
    ranker_share: Share
    by_source: dict[Word, SourceShare]


class UserSegment(JsonRecord):
    """Users of one kind; beside their number the measures of the two stages and of popularity, by name."""

    __pydantic_extra__: dict[Word, Figure | None] = Field(init=False)

    users: Count

    def figure(self, name: str) -> float | None:
        """Return a measure, None where the segment has none."""
        return self.__pydantic_extra__.get(name)


class EvaluationSummary(JsonRecord):
    """Measures of every contestant at k, over the warm users; cold ones are a segment alone."""

    k: Annotated[int, Field(ge=1, le=100_000)]
    users: Count
    cold_users: Count
    models: dict[Word, Measures]
    comparisons: list[Comparison]
    against_popularity: Comparison | None
    segments: dict[Word, UserSegment]
    budget: StageBudget


class HoldoutSummary(EvaluationSummary):
    """How a model that had not seen the days from `first_day` on did in them."""

    first_day: Day
