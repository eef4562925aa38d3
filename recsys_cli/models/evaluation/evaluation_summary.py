"""How the two stages and their rivals did, as reports and manifests keep it."""

from pydantic import Field

from recsys_cli.utils.json_record import Day, JsonRecord

Measures = dict[str, float]  # by name and length of the lists, such as NDCG@10


def popularity_figure(k: int) -> str:
    """Return the name under which a segment has the measure of popularity."""
    return f"NDCG@{k} of popularity"


class Comparison(JsonRecord):
    """The two stages against another contestant: mean difference a user, 95 % interval."""

    metric: str
    against: str
    difference: float
    low: float
    high: float


class SourceShare(JsonRecord):
    """The share of the relevant pairs that a source proposes, and of those that no other proposes."""

    recall: float
    alone: float


class StageBudget(JsonRecord):
    """Where relevant pairs are lost.

    Attributes:
        candidate_recall: share of the relevant pairs that any source proposes.
        ranker_share: hits of the ranker, of those that the best order of the candidates would have.
    """

    relevant_pairs: int
    candidate_recall: float
    ranker_share: float
    by_source: dict[str, SourceShare]


class UserSegment(JsonRecord):
    """Users of one kind; beside their number the measures of the two stages and of popularity, by name."""

    __pydantic_extra__: dict[str, float | None] = Field(init=False)

    users: int

    def figure(self, name: str) -> float | None:
        """Return a measure, None where the segment has none."""
        return self.__pydantic_extra__.get(name)


class EvaluationSummary(JsonRecord):
    """Measures of every contestant at k, over the warm users; cold ones are a segment alone."""

    k: int
    users: int
    cold_users: int
    models: dict[str, Measures]
    comparisons: list[Comparison]
    against_popularity: Comparison | None
    segments: dict[str, UserSegment]
    budget: StageBudget


class HoldoutSummary(EvaluationSummary):
    """How a model that had not seen the days from `first_day` on did in them."""

    first_day: Day
