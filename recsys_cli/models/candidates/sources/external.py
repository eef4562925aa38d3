"""Candidates of other systems as a source, as they were delivered for the day."""

from dataclasses import dataclass

import numpy as np

from recsys_cli.configs.data_sections import ExternalSettings
from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.models.candidates.definition import BoundSource, SourceDay, SourceDefinition
from recsys_cli.models.candidates.protocol import ChunkScores, Pairs, UserChunk
from recsys_cli.utils.columns import ELIGIBLE, ITEM, SCORE, USER


@dataclass(frozen=True)
class ExternalGenerator:
    """The delivered items of each user, in the order of the delivery.

    Attributes:
        starts: i64, (users + 1,): a user's rows are those from starts[user] up to starts[user + 1].
        items: u32, the item of each row; a user's rows are best first, no item is there twice.
        scores: f32, the score of each row, on any scale.
        eligible: whether each item may be proposed, by internal index.
    """

    starts: np.ndarray
    items: np.ndarray
    scores: np.ndarray
    eligible: np.ndarray
    num_candidates: int
    name: str = "external"
    floor_is_last: bool = True  # the scale is anyone's: scores may all be below 0

    def score(self, chunk: UserChunk) -> ChunkScores:
        """Return the first delivered items that each user may see and has not viewed."""
        starts = self.starts[chunk.users]
        counts = self.starts[chunk.users.astype(np.int64) + 1] - starts
        rows = np.repeat(np.arange(len(chunk), dtype=np.int64), counts)
        places = np.arange(len(rows), dtype=np.int64) + (starts - (np.cumsum(counts) - counts))[rows]
        items, width = self.items[places].astype(np.int64), len(self.eligible)
        keys = rows * width + items
        fresh = self.eligible[items] & ~np.isin(keys, _viewed_keys(chunk, width))
        ranks = _places_within(fresh, counts)
        keep = fresh & (ranks <= self.num_candidates)
        lists = np.full((len(chunk), min(self.num_candidates, width)), -1, dtype=np.int32)
        lists[rows[keep], ranks[keep] - 1] = items[keep]
        order = np.argsort(keys)
        return _ExternalScores(lists, keys[order], self.scores[places][order], width)


@dataclass(frozen=True)
class _ExternalScores:
    """Scores of pairs, by the pair's key, ascending."""

    lists: np.ndarray
    keys: np.ndarray
    scores: np.ndarray
    width: int

    def of_pairs(self, pairs: Pairs) -> np.ndarray:
        values = np.full(len(pairs), np.nan, dtype=np.float32)
        if len(self.keys) == 0:
            return values
        wanted = pairs.rows * self.width + pairs.items
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        known = self.keys[places] == wanted
        values[known] = self.scores[places[known]]
        return values


def external_generator(features: FeatureTables, settings: ExternalSettings) -> ExternalGenerator:
    """Bind the candidates that the features hold to the day's users and items.

    Raises: ValueError where they were not read.
    """
    if features.external is None:
        raise ValueError(f"the external candidates of {features.day} were not read")
    counts = np.bincount(features.external[USER].to_numpy(), minlength=len(features.users))
    return ExternalGenerator(
        starts=np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts, dtype=np.int64)]),
        items=features.external[ITEM].to_numpy(),
        scores=features.external[SCORE].to_numpy(),
        eligible=features.items[ELIGIBLE].to_numpy(),
        num_candidates=settings.num_candidates,
    )


def _viewed_keys(chunk: UserChunk, width: int) -> np.ndarray:
    owners = np.repeat(np.arange(len(chunk), dtype=np.int64), np.diff(chunk.viewed.indptr))
    return np.asarray(owners * width + chunk.viewed.indices)


def _places_within(fresh: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the place, from 1, of each fresh row among the fresh rows of its user."""
    running = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(fresh, dtype=np.int64)])
    before = running[np.cumsum(counts) - counts]
    return np.asarray(running[1:] - np.repeat(before, counts))


def _bind(day: SourceDay[ExternalSettings]) -> BoundSource:
    return lambda users: external_generator(users.features, day.settings)


EXTERNAL = SourceDefinition(
    name="external",
    summary="proposals made elsewhere, delivered as files for each day (`recsys guide data`)",
    settings=ExternalSettings,  # of a table: it stands with those of the other tables
    bind=_bind,
)
SOURCES = (EXTERNAL,)
