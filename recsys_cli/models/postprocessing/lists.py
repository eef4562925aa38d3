"""The lists of users: ranked by both stages, then chosen by what comes behind the ranker."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from recsys_cli.models.postprocessing.day_lists import UserLists
from recsys_cli.models.postprocessing.rule_tables import NO_RULE, Origin
from recsys_cli.models.postprocessing.selection import Chosen, Explored, Options, Shortlist, select_lists
from recsys_cli.models.reranking.ranker import BoundRanker
from recsys_cli.models.two_stage import BoundDay, Ranked, rank_users
from recsys_cli.utils.columns import ORIGIN, PROPENSITY, RANK, RAW_SCORE, RULE, SCORE, USER

_FILLS = 4  # popular candidates for each place of a list that the shortlist does not fill


@dataclass(frozen=True)
class ChosenLists:
    """Users' ranked candidates, and the lists that are chosen from them.

    Attributes:
        users: internal indices, u32.
        lists: what chooses; None: lists are the first of the ranker.
        chosen: rows of the shortlist by user and rank; None where `lists` is.
    """

    users: np.ndarray
    ranked: Ranked
    lists: UserLists | None = None
    chosen: Chosen | None = None

    def top(self, k: int) -> pl.DataFrame:
        """Return user, item, sources, raw_score, score, rank and what `list_columns` asks for."""
        if self.lists is None or self.chosen is None:
            return self.ranked.top(k)
        scored, chosen = self.ranked.scored, self.chosen
        return self.ranked.candidates.keys(scored.rows[chosen.rows]).with_columns(
            pl.Series(RAW_SCORE, scored.raw[chosen.rows]),
            pl.Series(SCORE, self.ranked.scores[chosen.rows]),
            pl.Series(RANK, chosen.ranks),
            *_columns(self.lists, chosen),
        )

    def without(self, places: np.ndarray) -> "ChosenLists":
        """Return the same with empty lists for the users at these places."""
        assert self.chosen is not None
        return replace(self, chosen=self.chosen.without(places))


def choose_lists(users: np.ndarray, day: BoundDay, ranker: BoundRanker, limits: "ListLimits") -> list[ChosenLists]:
    """Return the users' lists; a user's list does not depend on the other users.

    Those that the shortlist does not fill come second: they are chosen from all candidates and popular items.

    Args:
        users: internal indices, u32, ascending.
    """
    found = ChosenLists(users, rank_users(users, day, ranker, limits.shortlist))
    if day.lists is None:
        return [found]
    found = _with_lists(found, day.lists)
    assert found.chosen is not None
    short = np.flatnonzero(np.diff(found.chosen.indptr) < limits.top_k)
    if not short.size or day.lists.fills:
        return [found]
    wider = replace(day, lists=day.lists.filling(_FILLS * limits.top_k))
    return [found.without(short), *choose_lists(users[short], wider, ranker, replace(limits, shortlist=0))]


@dataclass(frozen=True)
class ListLimits:
    """How many candidates of a user all trees score (0: all), and how many items a list has."""

    shortlist: int
    top_k: int


def top_lists(pieces: list[ChosenLists], k: int) -> pl.DataFrame:
    """Return the rows of all lists by user and rank, as `ChosenLists.top` does."""
    if len(pieces) == 1:
        return pieces[0].top(k)
    return pl.concat(piece.top(k) for piece in pieces).sort(USER, RANK)


def _with_lists(found: ChosenLists, lists: UserLists) -> ChosenLists:
    return replace(found, lists=lists, chosen=select(shortlist_of(found.ranked, found.users, lists), lists))


def shortlist_of(ranked: Ranked, users: np.ndarray, lists: UserLists) -> Shortlist:
    """Return the scored pairs of users with the rules that they meet."""
    scored, candidates = ranked.scored, ranked.candidates
    assert candidates.marks is not None
    return Shortlist(
        scored.indptr,
        candidates.pairs.items[scored.rows],
        ranked.scores,
        candidates.marks[scored.rows],
        lists.rules.user_marks(users),
    )
