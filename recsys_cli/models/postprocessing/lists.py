"""The lists of users: ranked by both stages, then chosen by what comes behind the ranker."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from recsys_cli.models.postprocessing.day_lists import DayLists, UserLists
from recsys_cli.models.postprocessing.exploration import Draws
from recsys_cli.models.postprocessing.list_arrays import count_bits
from recsys_cli.models.postprocessing.rule_tables import PlacedBy
from recsys_cli.models.postprocessing.selection import (
    Chosen,
    Diversity,
    Explored,
    Shortlist,
    select_lists,
)
from recsys_cli.models.reranking.ranker import BoundRanker
from recsys_cli.models.two_stage import BoundDay, Ranked, rank_users
from recsys_cli.utils.columns import PLACED_BY, PROPENSITY, RANK, RAW_SCORE, RULE, SCORE, USER

_FILLS = 4  # popular candidates for each place of a list that the shortlist does not fill


@dataclass(frozen=True)
class ListLimits:
    """How many candidates of a user all trees score (0: all), and how many items a list has."""

    shortlist: int
    top_k: int


@dataclass(frozen=True)
class ChosenLists:
    """Users' ranked candidates, and the lists that are chosen from them.

    Attributes:
        users: internal indices, u32.
        lists: what chooses; None: lists are the first of the ranker.
        chosen: rows of the shortlist by user and rank; None where `lists` is.
        chances: of each chosen row, that exploration drew it, f32; NaN: it was not drawn.
        left: users, by place, whose lists are chosen elsewhere.
    """

    users: np.ndarray
    ranked: Ranked
    lists: UserLists | None = None
    chosen: Chosen | None = None
    chances: np.ndarray | None = None
    left: np.ndarray | None = None

    def top(self, k: int) -> pl.DataFrame:
        """Return user, item, sources, raw_score, score, rank and, with rules, rule, placed_by, propensity."""
        if self.lists is None or self.chosen is None:
            return self.ranked.top(k)
        scored, own = self.ranked.scored, self._own()
        rows = self.chosen.rows[own]
        frame = self.ranked.candidates.keys(scored.rows[rows]).with_columns(
            pl.Series(RAW_SCORE, scored.raw[rows]),
            pl.Series(SCORE, self.ranked.scores[rows]),
            pl.Series(RANK, self.chosen.ranks[own]),
            pl.Series(RULE, self.chosen.rules[own]),
            pl.Series(PLACED_BY, self.chosen.placed_by[own]),
        )
        if self.chances is None:
            return frame
        return frame.with_columns(pl.Series(PROPENSITY, self.chances[own]).fill_nan(None))

    def unmet(self) -> np.ndarray:
        """Return for how many users each rule could not be met, i64."""
        if self.lists is None or self.chosen is None:
            return np.zeros(0, dtype=np.int64)
        marks = (
            self.chosen.unmet_marks if self.left is None else np.delete(self.chosen.unmet_marks, self.left)
        )
        return count_bits(marks, len(self.lists.tables.names))

    def _own(self) -> np.ndarray:
        """Return the chosen rows whose lists are not chosen elsewhere, ascending."""
        assert self.chosen is not None
        lengths = np.diff(self.chosen.indptr)
        stays = np.ones(len(lengths), dtype=np.bool_)
        stays[[] if self.left is None else self.left] = False
        return np.flatnonzero(np.repeat(stays, lengths))


def choose_lists(
    users: np.ndarray, day: BoundDay, ranker: BoundRanker, limits: ListLimits, ranked: Ranked | None = None
) -> list[ChosenLists]:
    """Return the users' lists; a user's list does not depend on the other users.

    Those that the shortlist does not fill come second: they are chosen from all candidates and popular items.

    Args:
        users: internal indices, u32, ascending.
        ranked: their candidates, if they are ranked already.
    """
    if ranked is None:
        ranked = rank_users(users, day, ranker, limits.shortlist)
    if day.lists is None:
        return [ChosenLists(users, ranked)]
    found = _chosen(users, ranked, day.lists)
    assert found.chosen is not None
    short = np.flatnonzero(np.diff(found.chosen.indptr) < limits.top_k)
    if not short.size or day.lists.fills or not day.lists.day.settings.rules:
        return [found]
    wider = replace(day, lists=day.lists.filling(_FILLS * limits.top_k))
    again = choose_lists(users[short], wider, ranker, replace(limits, shortlist=0))
    return [replace(found, left=short), *again]


def top_lists(pieces: list[ChosenLists], k: int) -> pl.DataFrame:
    """Return the rows of all lists by user and rank, as `ChosenLists.top` does."""
    if len(pieces) == 1:
        return pieces[0].top(k)
    return pl.concat(piece.top(k) for piece in pieces).sort(USER, RANK)


def unmet_rules(pieces: list[ChosenLists]) -> np.ndarray:
    """Return for how many users each rule could not be met, i64."""
    return np.asarray(np.sum([piece.unmet() for piece in pieces], axis=0, dtype=np.int64))


def shortlist_of(users: np.ndarray, ranked: Ranked, lists: UserLists) -> tuple[Shortlist, np.ndarray]:
    """Return the scored pairs of users that no rule removes, and their rows among all scored ones."""
    scored, candidates = ranked.scored, ranked.candidates
    assert candidates.marks is not None
    marks = candidates.marks[scored.rows] & ~lists.off
    allowed = lists.allowed(marks)
    rows = np.flatnonzero(allowed)
    counted = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(allowed, dtype=np.int64)])
    items = candidates.pairs.items[scored.rows[rows]]
    own = lists.user_marks(users)
    return Shortlist(counted[scored.indptr], items, ranked.scores[rows], marks[rows], own), rows


def diversity_of(lists: DayLists) -> Diversity | None:
    """Return the variety that is asked for; None: none."""
    if lists.similarity is None:
        return None
    return Diversity(lists.similarity, lists.settings.diversity)


def _chosen(users: np.ndarray, ranked: Ranked, lists: UserLists) -> ChosenLists:
    (shortlist, rows), settings = shortlist_of(users, ranked, lists), lists.day.settings
    explored, drawn = None, None
    if lists.day.pool.size:
        drawn = lists.draws(users)
        explored = Explored(drawn.rows(shortlist.indptr, shortlist.items), drawn.places)
    chosen = select_lists(shortlist, lists.tables, settings.top_k, diversity_of(lists.day), explored)
    chances = None if explored is None or drawn is None else _chances(chosen, explored, drawn)
    return ChosenLists(users, ranked, lists, replace(chosen, rows=rows[chosen.rows]), chances)


def _chances(chosen: Chosen, explored: Explored, drawn: Draws) -> np.ndarray:
    """Return the chance of each chosen row that exploration drew, f32; NaN for the others."""
    chances = np.full(len(chosen.rows), np.nan, dtype=np.float32)
    by_row = dict[int, float]()
    for slot, chance in enumerate(drawn.chances.tolist()):
        by_row.update(dict.fromkeys(explored.rows[:, slot].tolist(), chance))
    places = np.flatnonzero(chosen.placed_by == PlacedBy.EXPLORE)
    chances[places] = [by_row[row] for row in chosen.rows[places].tolist()]
    return chances
