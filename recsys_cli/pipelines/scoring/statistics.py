"""What a scoring run did, added up over its chunks."""

from collections import Counter
from dataclasses import dataclass, field

from recsys_cli.models.postprocessing.quota_effect import QuotaEffect
from recsys_cli.models.postprocessing.rule_effects import Effects
from recsys_cli.pipelines.publication.manifest import ListFigures
from recsys_cli.pipelines.scoring.batches import RankedBatch
from recsys_cli.utils.columns import ITEM, PROPENSITY, RANK, RULE, SOURCES, USER


@dataclass
class ScoreCounts:
    """Figures of a run.

    Attributes:
        popularity: names of the sources that propose what many had.
        example: index of the user to show in `explain`; fitness: how good an example it is.
        by_sources: rows that the same sources, joined by commas, proposed.
        by_item: lists that hold each item, by its internal index.
        by_rule: rows that each rule gave their places, by its number; unmet: users for whom it could not be
            met; explored: rows that exploration drew.
        effects: what rules change, in a sample of the users; quotas: what these change; None: there are none.
        files: SHA-256 of the tables of the quotas, by name.
    """

    top_k: int
    popularity: frozenset[str]
    users: int = 0
    warm: int = 0
    candidates: int = 0
    recommendations: int = 0
    short_lists: int = 0
    empty_lists: int = 0
    example: int | None = None
    fitness: int = 0
    index_recall: float | None = None
    by_sources: Counter[str] = field(default_factory=Counter)
    by_item: Counter[int] = field(default_factory=Counter)
    by_rule: Counter[int] = field(default_factory=Counter)
    unmet: Counter[int] = field(default_factory=Counter)
    explored: int = 0
    effects: Effects | None = None
    quotas: QuotaEffect | None = None
    files: dict[str, str] = field(default_factory=dict)

    def add(self, batch: RankedBatch) -> None:
        """Add a batch of users."""
        figures, top = batch.figures, batch.top
        self.users += figures.users
        self.warm += figures.warm
        self.candidates += figures.candidates
        self.recommendations += len(top)
        self.short_lists += figures.users - int((top[RANK] == self.top_k).sum())
        self.empty_lists += figures.users - top[USER].n_unique()
        self.by_sources.update(dict(top[SOURCES].value_counts().iter_rows()))
        self.by_item.update(dict(top[ITEM].value_counts().iter_rows()))
        self.unmet.update(dict(enumerate(figures.unmet)))
        if RULE in top.columns:
            self.by_rule.update(dict(top[RULE].value_counts().iter_rows()))
        if PROPENSITY in top.columns:
            self.explored += top[PROPENSITY].count()
        if self.index_recall is None:
            self.index_recall = figures.index_recall
        if self.example is None or figures.fitness > self.fitness:
            self.example, self.fitness = figures.example, figures.fitness

    def figures(self, eligible_items: int, unlisted_items: int = 0) -> ListFigures:
        """Return the figures for the manifest and the summary."""
        rows = max(self.recommendations, 1)
        figures = ListFigures(
            users=self.users,
            warm_users=self.warm,
            cold_users=self.users - self.warm,
            candidates=self.candidates,
            rows=self.recommendations,
            short_lists=self.short_lists,
            empty_lists=self.empty_lists,
            share_by_source={name: round(count / rows, 4) for name, count in self._by_source().items()},
            fallback_rows=sum(count for names, count in self.by_sources.items() if self._is_fallback(names)),
            eligible_items=eligible_items,
            items=len(self.by_item),
            top_item_lists=max(self.by_item.values(), default=0),
            catalogue_coverage=round(len(self.by_item) / max(eligible_items, 1), 4),
        )
        more: dict[str, float] = {"unlisted_items": unlisted_items} if unlisted_items else {}
        if self.index_recall is not None:
            more["index_recall"] = round(self.index_recall, 4)
        return figures.model_copy(update=more)

    def _by_source(self) -> dict[str, int]:
        """Return how many rows each source proposed; a row may have several."""
        counts: Counter[str] = Counter()
        for names, rows in self.by_sources.items():
            counts.update({name: rows for name in names.split(",")})
        return dict(sorted(counts.items()))

    def _is_fallback(self, names: str) -> bool:
        """Return whether popularity alone proposed a row."""
        return self.popularity.issuperset(names.split(","))
