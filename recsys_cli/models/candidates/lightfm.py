"""LightFM: learnt with WARP over identities and features, served as plain matrix products."""

from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar

import faiss
import numpy as np
import polars as pl
from scipy import sparse

from recsys_cli.configs.sections import LightFMSettings
from recsys_cli.data_preparation.features import FeatureTables
from recsys_cli.data_preparation.tables import Tables
from recsys_cli.models.candidates.protocol import ChunkScores, Proposals, UserChunk
from recsys_cli.models.candidates.unseen import fetch_sizes, first_unseen, joined
from recsys_cli.models.encoding import Encoders
from recsys_cli.models.keeping import Arrays, ArrayStore, not_kept
from recsys_cli.utils.columns import ELIGIBLE, ITEM, ITEM_ID, TIMESTAMP, USER, USER_ID, WEIGHT
from recsys_cli.utils.errors import InputError, ModelError

_BLOCK = 64  # queries are padded to blocks: BLAS then sums one user alone as it sums a batch
_PAIR_BLOCK = 65_536
_MICROSECONDS_A_DAY = 86_400_000_000


@dataclass(frozen=True)
class LightFMSide:
    """Learnt parameters of users or items.

    Attributes:
        ids: external ids that have an identity vector, in the order of its rows.
        vectors: (len(ids) + width of the features, dim) f32: identities, then features.
        biases: (len(ids) + width of the features,) f32.
    """

    ids: pl.Series
    vectors: np.ndarray
    biases: np.ndarray

    def known_rows(self, ids: pl.Series) -> np.ndarray:
        """Return the identity row of each id, -1 where training knew no event of it."""
        places = pl.DataFrame([self.ids.rename("id"), pl.Series("row", range(len(self.ids)), dtype=pl.Int64)])
        found = ids.rename("id").to_frame().join(places, on="id", how="left", maintain_order="left")
        return np.asarray(found["row"].fill_null(-1).to_numpy())


@dataclass(frozen=True)
class LightFMModel:
    """A trained LightFM: nothing but arrays and ids."""

    users: LightFMSide
    items: LightFMSide

    def is_finite(self) -> bool:
        """Return whether all that was learnt is a number."""
        arrays = (self.users.vectors, self.users.biases, self.items.vectors, self.items.biases)
        return all(bool(np.isfinite(array).all()) for array in arrays)

    def generator(
        self, features: FeatureTables, encoders: Encoders, num_candidates: int
    ) -> "LightFMGenerator":
        """Return the generator over the users and items of a partition.

        An item without events at training stands by its features, with the mean identity bias; with neither
        events nor features it is not proposed.
        """
        rows = self.items.known_rows(features.items[ITEM_ID])
        one_hot = encoders.items.one_hot(features.items)
        vectors = _represent(self.items, rows, one_hot)
        identity_biases = self.items.biases[: len(self.items.ids)]
        biases = one_hot @ self.items.biases[len(self.items.ids) :]
        biases += np.where(rows >= 0, identity_biases[rows], identity_biases.mean())
        proposable = ((rows >= 0) | (np.diff(one_hot.indptr) > 0)) & features.items[ELIGIBLE].to_numpy()
        return LightFMGenerator(
            num_candidates=num_candidates,
            users=self.users,
            user_rows=self.users.known_rows(features.users[USER_ID]),
            user_features=encoders.users.one_hot(features.users),
            item_vectors=np.ascontiguousarray(np.column_stack([vectors, biases]), dtype=np.float32),
            proposable=np.flatnonzero(proposable),
        )


@dataclass(frozen=True)
class LightFMGenerator:
    """LightFM over one day's users and items.

    Attributes:
        user_rows: identity row of each user, -1 for none.
        user_features: one-hot features of each user.
        item_vectors: (items, dim + 1) f32, the bias last.
        proposable: internal indices of the items that may be proposed.
    """

    name: ClassVar[str] = "lightfm"
    floor_is_last: ClassVar[bool] = True
    num_candidates: int
    users: LightFMSide
    user_rows: np.ndarray
    user_features: sparse.csr_matrix
    item_vectors: np.ndarray
    proposable: np.ndarray

    def score(self, chunk: UserChunk) -> ChunkScores:
        """Return the items with the largest product for each user that the model can place."""
        queries, placed = self._user_vectors(chunk.users), self._is_placed(chunk.users)
        base = np.ascontiguousarray(self.item_vectors[self.proposable])
        parts = []
        for rows, size in fetch_sizes(chunk, self.num_candidates, len(self.proposable)):
            rows = rows[placed[rows]]
            if len(rows) and size:
                places = _search(queries[rows], base, size)
                items = np.where(places >= 0, self.proposable[places], -1)
                parts.append(first_unseen(chunk, rows, items, self.num_candidates))
        return _LightFMScores(joined(parts), queries, placed, self.item_vectors)

    def knows(self, users: np.ndarray) -> np.ndarray:
        """Return whether each user has an identity vector: warm, not cold."""
        return np.asarray(self.user_rows[users] >= 0)

    def _is_placed(self, users: np.ndarray) -> np.ndarray:
        described = np.diff(self.user_features.indptr)[users] > 0
        return np.asarray(self.knows(users) | described)

    def _user_vectors(self, users: np.ndarray) -> np.ndarray:
        """Return (users, dim + 1) f32, the last column 1: it meets the item's bias."""
        vectors = _represent(self.users, self.user_rows[users], self.user_features[users])
        return np.column_stack([vectors, np.ones(len(users), dtype=np.float32)])


@dataclass(frozen=True)
class _LightFMScores:
    proposals: Proposals
    queries: np.ndarray
    placed: np.ndarray
    item_vectors: np.ndarray

    def of_pairs(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        scores = np.empty(len(rows), dtype=np.float32)
        for start in range(0, len(rows), _PAIR_BLOCK):
            block = slice(start, start + _PAIR_BLOCK)
            scores[block] = np.einsum("ij,ij->i", self.queries[rows[block]], self.item_vectors[items[block]])
        scores[~self.placed[rows]] = np.nan
        return scores


def fit_lightfm(
    tables: Tables, encoders: Encoders, settings: LightFMSettings, kept: ArrayStore = not_kept
) -> LightFMModel:
    """Learn from the tables' events: users and items with an event get an identity, all share their features.

    Args:
        kept: returns the arrays of an earlier fit on the same events, features and settings.

    Raises: InputError when no event has a weight; ModelError when the learnt vectors are not finite.
    Source: Kula (2015), Metadata Embeddings for User and Item Cold-start Recommendations;
    Weston et al. (2011), WSABIE (the WARP loss).
    """
    pairs = _weighted_pairs(tables, settings.half_life_days)
    if pairs.is_empty():
        raise InputError(
            f"no event before {tables.day} has a weight above 0",
            where="data.interactions",
            fix="map another column as the weight, or none: each event then counts once",
        )
    users, items = pairs[USER].unique().sort(), pairs[ITEM].unique().sort()
    known_users, known_items = tables.users[users], tables.items[items]
    weights = sparse.coo_matrix(
        (
            pairs[WEIGHT].to_numpy(writable=True),
            (users.search_sorted(pairs[USER]).to_numpy(), items.search_sorted(pairs[ITEM]).to_numpy()),
        ),
        shape=(len(users), len(items)),
        dtype=np.float32,
    )
    sides = _with_identity(encoders.users.one_hot(known_users)), _with_identity(
        encoders.items.one_hot(known_items)
    )
    vectors = kept(_key(weights, sides, settings), lambda: _learnt(settings, weights, *sides))
    learnt = LightFMModel(
        LightFMSide(known_users[USER_ID], vectors["user_vectors"], vectors["user_biases"]),
        LightFMSide(known_items[ITEM_ID], vectors["item_vectors"], vectors["item_biases"]),
    )
    if not learnt.is_finite():
        raise _diverged()
    return learnt


def _key(
    weights: sparse.coo_matrix, sides: tuple[sparse.csr_matrix, sparse.csr_matrix], settings: LightFMSettings
) -> str:
    """Return a hash of all that decides what is learnt."""
    digest = sha256(settings.model_dump_json(exclude={"num_candidates"}).encode())
    arrays = [weights.row, weights.col, weights.data]
    for side in sides:
        arrays += [side.indptr, side.indices, side.data]
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return f"lightfm-{digest.hexdigest()[:32]}"


def _learnt(
    settings: LightFMSettings,
    weights: sparse.coo_matrix,
    user_features: sparse.csr_matrix,
    item_features: sparse.csr_matrix,
) -> Arrays:
    """Return the vectors and biases that LightFM learns."""
    from lightfm import LightFM

    model = LightFM(
        no_components=settings.no_components,
        loss=settings.loss,
        learning_rate=settings.learning_rate,
        max_sampled=settings.max_sampled,
        user_alpha=settings.user_alpha,
        item_alpha=settings.item_alpha,
        random_state=settings.random_state,
    )
    try:
        with np.errstate(invalid="ignore", over="ignore"):
            model.fit(
                (weights > 0).astype(np.float32).tocoo(),
                sample_weight=weights,
                user_features=user_features,
                item_features=item_features,
                epochs=settings.epochs,
                num_threads=settings.num_threads,
            )
    except ValueError as error:
        if "finite" not in str(error):
            raise
        raise _diverged() from None
    return {
        "user_vectors": model.user_embeddings,
        "user_biases": model.user_biases,
        "item_vectors": model.item_embeddings,
        "item_biases": model.item_biases,
    }


def _weighted_pairs(tables: Tables, half_life_days: float) -> pl.DataFrame:
    """Return user, item, weight: the log of the pair's events, each halved every `half_life_days`."""
    weight = pl.col(WEIGHT)
    if half_life_days:
        age = (pl.lit(tables.cut) - pl.col(TIMESTAMP)).dt.total_microseconds() / _MICROSECONDS_A_DAY
        weight = weight * pl.lit(0.5).pow(age / half_life_days)
    total = (1.0 + weight.cast(pl.Float64).sum()).log(2.0).cast(pl.Float32).alias(WEIGHT)
    return tables.events.group_by(USER, ITEM).agg(total).filter(pl.col(WEIGHT) > 0).sort(USER, ITEM)


def _with_identity(one_hot: sparse.csr_matrix) -> sparse.csr_matrix:
    identity = sparse.identity(one_hot.shape[0], dtype=np.float32, format="csr")
    return sparse.csr_matrix(sparse.hstack([identity, one_hot], format="csr", dtype=np.float32))


def _represent(side: LightFMSide, rows: np.ndarray, one_hot: sparse.csr_matrix) -> np.ndarray:
    """Return identity plus features of each row, (rows, dim) f32."""
    vectors = np.asarray(one_hot @ side.vectors[len(side.ids) :], dtype=np.float32)
    known = rows >= 0
    vectors[known] += side.vectors[rows[known]]
    return vectors


def _search(queries: np.ndarray, base: np.ndarray, size: int) -> np.ndarray:
    padding = -len(queries) % _BLOCK
    padded = np.concatenate([queries, np.zeros((padding, queries.shape[1]), dtype=np.float32)])
    _, places = faiss.knn(padded, base, size, metric=faiss.METRIC_INNER_PRODUCT)
    return np.asarray(places[: len(queries)])


def _diverged() -> ModelError:
    return ModelError(
        "LightFM's vectors are not finite: the training diverged",
        where="candidates.lightfm",
        fix="lower candidates.lightfm.learning_rate, or check the weights of the events",
    )
