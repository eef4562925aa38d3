"""Learning LightFM: from everything before a day, or on top of an earlier model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy import sparse

from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.definition import FitTask
from recsys_cli.models.candidates.fit_cache import Arrays, NothingStored, PartialFit, Shapes
from recsys_cli.models.candidates.sources.lightfm_model import LightFMModel, LightFMSide
from recsys_cli.models.candidates.sources.lightfm_state import resumed_after, state_after
from recsys_cli.utils.columns import ITEM, ITEM_ID, TIMESTAMP, USER, USER_ID, WEIGHT
from recsys_cli.utils.dates import day_start
from recsys_cli.utils.errors import InputError, ModelError
from recsys_cli.utils.progress import Progress, no_progress

if TYPE_CHECKING:
    from recsys_cli.models.candidates.sources.lightfm import LightFMSettings

_STORED_TIMES = 6  # how often a fit stores itself
_ARRAYS = ("user_embeddings", "user_biases", "item_embeddings", "item_biases")


def fit_lightfm(task: FitTask, settings: "LightFMSettings") -> LightFMModel:
    """Learn from the tables' events: users and items with an event get an identity, all share their features.

    The task's progress is called after each epoch.

    Raises: InputError when no event has a weight; ModelError when the learnt vectors are not finite.
    Source: Kula (2015), Metadata Embeddings for User and Item Cold-start Recommendations;
    Weston et al. (2011), WSABIE (the WARP loss).
    """
    pairs = _weighted_pairs(task.tables, settings.half_life_days)
    if pairs.is_empty():
        raise _without_weight(task.tables, settings)
    problem = _problem(task, pairs)
    learnt = task.cached(
        problem.key(settings),
        problem.shapes(settings),
        lambda partial: _learnt(settings, problem, _Course(progress=task.progress, partial=partial)),
    )
    return _model(problem, learnt)


def continue_lightfm(
    base: LightFMModel, task: FitTask, settings: "LightFMSettings", since: date
) -> LightFMModel:
    """Start from a model's vectors, append new users and items, learn from recent events for some epochs.

    Args:
        task: with the encoders of `base`.
        since: pairs with an event from this day on are learnt from.

    Raises: ModelError when the learnt vectors are not finite.
    """
    tables = task.tables
    everything = _weighted_pairs(tables, settings.half_life_days)
    recent = tables.events.filter(pl.col(TIMESTAMP) >= day_start(since, tables.timezone)).select(USER, ITEM)
    pairs = everything.join(recent.unique(), on=[USER, ITEM], how="semi", maintain_order="left")
    problem = _problem(task, pairs, everything)
    start = {
        **_known_values("user", base.users, problem.users[USER_ID], problem.user_features.shape[1]),
        **_known_values("item", base.items, problem.items[ITEM_ID], problem.item_features.shape[1]),
    }
    return _model(problem, _learnt(settings, problem, _Course(start, task.progress)))


@dataclass(frozen=True)
class _Problem:
    """What LightFM learns from.

    Attributes:
        users, items: rows of the tables that get an identity vector.
        weights: (users, items) of the pairs.
        user_features, item_features: identity, then declared features.
    """

    users: pl.DataFrame
    items: pl.DataFrame
    weights: sparse.coo_matrix
    user_features: sparse.csr_matrix
    item_features: sparse.csr_matrix

    def key(self, settings: "LightFMSettings") -> str:
        """Return a hash of all that decides what is learnt."""
        digest = sha256(settings.model_dump_json(exclude={"num_candidates"}).encode())
        arrays = [self.weights.row, self.weights.col, self.weights.data]
        for side in (self.user_features, self.item_features):
            arrays += [side.indptr, side.indices, side.data]
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
        return f"lightfm-embeddings-{digest.hexdigest()[:32]}"

    def shapes(self, settings: "LightFMSettings") -> Shapes:
        """Return the shapes of what is learnt."""
        users, items = self.user_features.shape[1], self.item_features.shape[1]
        shapes = (users, settings.no_components), (users,), (items, settings.no_components), (items,)
        return dict(zip(_ARRAYS, shapes, strict=True))


def _problem(task: FitTask, pairs: pl.DataFrame, known: pl.DataFrame | None = None) -> _Problem:
    """Return how to learn `pairs`; users and items of `known`, by default of the pairs, are in it."""
    known, tables, encoders = pairs if known is None else known, task.tables, task.encoders
    users, items = known[USER].unique().sort(), known[ITEM].unique().sort()
    known_users, known_items = tables.users[users], tables.items[items]
    places = users.search_sorted(pairs[USER]).to_numpy(), items.search_sorted(pairs[ITEM]).to_numpy()
    weights = sparse.coo_matrix(
        (pairs[WEIGHT].to_numpy(writable=True), places), shape=(len(users), len(items)), dtype=np.float32
    )
    return _Problem(
        known_users,
        known_items,
        weights,
        _with_identity(encoders.users.one_hot(known_users)),
        _with_identity(encoders.items.one_hot(known_items)),
    )


def _model(problem: _Problem, learnt: Arrays) -> LightFMModel:
    model = LightFMModel(
        LightFMSide(problem.users[USER_ID], learnt["user_embeddings"], learnt["user_biases"]),
        LightFMSide(problem.items[ITEM_ID], learnt["item_embeddings"], learnt["item_biases"]),
    )
    if not model.is_finite():
        raise _diverged()
    return model


def _known_values(name: str, side: LightFMSide, ids: pl.Series, width: int) -> dict[str, np.ndarray]:
    """Return the side's vectors and biases in the rows of `ids`, NaN for new ids; its features follow."""
    rows = side.known_rows(ids)
    vectors = np.full((width, side.vectors.shape[1]), np.nan, dtype=np.float32)
    biases = np.full(width, np.nan, dtype=np.float32)
    known = np.flatnonzero(rows >= 0)
    vectors[known], biases[known] = side.vectors[rows[known]], side.biases[rows[known]]
    vectors[len(ids) :], biases[len(ids) :] = side.vectors[len(side.ids) :], side.biases[len(side.ids) :]
    return {f"{name}_embeddings": vectors, f"{name}_biases": biases}


@dataclass(frozen=True)
class _Course:
    """How a fit begins, reports and stores itself.

    Attributes:
        start: by the name of an array, where to start from; NaN: as a new fit does.
    """

    start: Mapping[str, np.ndarray] = field(default_factory=dict)
    progress: Progress = no_progress
    partial: PartialFit = NothingStored()


def _learnt(settings: "LightFMSettings", problem: _Problem, course: _Course) -> Arrays:
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

    taken = (problem.weights > 0).astype(np.float32).tocoo()

    def learn(epochs: int) -> None:
        model.fit_partial(
            taken,
            sample_weight=problem.weights,
            user_features=problem.user_features,
            item_features=problem.item_features,
            epochs=epochs,
            num_threads=settings.num_threads,
        )

    try:
        with np.errstate(invalid="ignore", over="ignore"):
            learn(0)  # makes the arrays
            for name, array in course.start.items():
                getattr(model, name)[...] = np.where(np.isnan(array), getattr(model, name), array)
            for epoch in range(resumed_after(model, course.partial.read()), settings.epochs):
                learn(1)  # one by one they give what they give together
                course.progress(epoch + 1, settings.epochs)
                if (epoch + 1) % max(
                    settings.epochs // _STORED_TIMES, 1
                ) == 0 and epoch + 1 < settings.epochs:
                    course.partial.write(state_after(model, epoch + 1))
    except ValueError as error:
        if "finite" not in str(error):
            raise
        raise _diverged() from None
    return {name: getattr(model, name) for name in _ARRAYS}


def _weighted_pairs(tables: Tables, half_life_days: float) -> pl.DataFrame:
    """Return user, item, weight: the log of the pair's events, each halved every `half_life_days`."""
    weight = tables.strength(half_life_days)
    total = (1.0 + weight.cast(pl.Float64).sum()).log(2.0).cast(pl.Float32).alias(WEIGHT)
    return tables.events.group_by(USER, ITEM).agg(total).filter(pl.col(WEIGHT) > 0).sort(USER, ITEM)


def _without_weight(tables: Tables, settings: "LightFMSettings") -> InputError:
    if not _weighted_pairs(tables, 0.0).is_empty():
        return InputError(
            f"every event before {tables.day} is so many half-lives old that its weight is 0",
            where=f"candidates.lightfm.half_life_days = {settings.half_life_days}",
            fix="raise candidates.lightfm.half_life_days, or set it to 0 for no decay",
        )
    return InputError(
        f"no event before {tables.day} has a weight above 0",
        where="data.interactions",
        fix="map another column as the weight, or none: each event then counts once",
    )


def _with_identity(one_hot: sparse.csr_matrix) -> sparse.csr_matrix:
    identity = sparse.identity(one_hot.shape[0], dtype=np.float32, format="csr")
    return sparse.csr_matrix(sparse.hstack([identity, one_hot], format="csr", dtype=np.float32))


def _diverged() -> ModelError:
    return ModelError(
        "LightFM's vectors are not finite: the training diverged",
        where="candidates.lightfm",
        fix="lower candidates.lightfm.learning_rate, user_alpha, item_alpha, or check the events' weights",
    )
