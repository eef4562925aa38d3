"""LightFM: vectors of users and items, learnt with WARP over identities and declared features."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, field_validator

from recsys_cli.configs.fields import LONGEST_HALF_LIFE, SHORTEST_HALF_LIFE, Count, Seed
from recsys_cli.configs.sections import WarmStartSettings
from recsys_cli.configs.source_sections import SourceSettings
from recsys_cli.models.candidates.definition import (
    EXACT,
    Between,
    BoundSource,
    FitTask,
    OneOf,
    SourceDay,
    SourceDefinition,
    Stored,
    StoredArrays,
)

if TYPE_CHECKING:
    from recsys_cli.models.candidates.sources.lightfm_model import LightFMModel, LightFMSide
    from recsys_cli.models.postprocessing.item_similarity import ItemSimilarity

_FLOAT = np.dtype(np.float32)


class LightFMSettings(SourceSettings):
    no_components: int = Field(64, ge=1, le=1024)
    loss: Literal["warp", "bpr", "logistic"] = "warp"
    learning_rate: float = Field(0.05, gt=0.0, le=100.0)
    max_sampled: int = Field(10, ge=1, le=10_000)
    epochs: Count = 18
    user_alpha: float = Field(0.0, ge=0.0, le=1_000.0)
    item_alpha: float = Field(0.0, ge=0.0, le=1_000.0)
    half_life_days: float = Field(
        60.0, ge=0.0, le=LONGEST_HALF_LIFE, description="age at which an event counts half; 0: no decay"
    )
    num_threads: int = Field(1, ge=1, le=1024, description="more than one is faster and not reproducible")
    random_state: Seed = 42

    @field_validator("half_life_days")
    @classmethod
    def _none_or_long_enough(cls, value: float) -> float:
        if 0 < value < SHORTEST_HALF_LIFE:
            raise ValueError(f"must be 0, for no decay, or at least {SHORTEST_HALF_LIFE}")
        return value


def _fit(task: FitTask, settings: LightFMSettings) -> LightFMModel:
    from recsys_cli.models.candidates.sources.lightfm_training import fit_lightfm

    return fit_lightfm(task, settings)


def _resume(
    model: LightFMModel, task: FitTask, settings: LightFMSettings, warm: WarmStartSettings, since: date
) -> LightFMModel:
    from recsys_cli.models.candidates.sources.lightfm_training import continue_lightfm

    again = settings.model_copy(update={"epochs": warm.epochs})
    return continue_lightfm(model, task, again, since)


def _bind(day: SourceDay[LightFMSettings]) -> BoundSource | None:
    model: LightFMModel | None = day.fitted
    if model is None:
        return None
    items = model.on(day.features.items, day.encoders, day.settings.num_candidates)
    items = items if day.index == EXACT else items.with_index(day.index)
    return lambda users: items.of_users(users.features, day.encoders.users)


def _item_similarity(day: SourceDay[LightFMSettings]) -> ItemSimilarity | None:
    from recsys_cli.models.postprocessing.item_similarity import ItemSimilarity

    model: LightFMModel | None = day.fitted
    if model is None:
        return None
    return ItemSimilarity.of_vectors(model.unit_vectors(day.features.items, day.encoders))


def _store(model: LightFMModel) -> Stored:
    sides = {"users": model.users, "items": model.items}
    stored: dict[str, np.ndarray] = {}
    for name, side in sides.items():
        stored |= {f"{name}_vectors": side.vectors, f"{name}_biases": side.biases}
    return {**stored, **{f"{name}_ids": side.ids for name, side in sides.items()}}


def _read(stored: StoredArrays) -> LightFMModel:
    from recsys_cli.models.candidates.sources.lightfm_model import LightFMModel

    users = _read_side(stored, "users", stored.encoders.users.size)
    items = _read_side(stored, "items", stored.encoders.items.size)
    if users.vectors.shape[1] != items.vectors.shape[1]:
        raise ValueError("the vectors of users and items differ in length")
    return LightFMModel(users, items)


def _read_side(stored: StoredArrays, side: str, features: int) -> LightFMSide:
    from recsys_cli.models.candidates.sources.lightfm_model import LightFMSide

    vectors = stored.array(f"{side}_vectors", [_FLOAT], 2)
    biases = stored.array(f"{side}_biases", [_FLOAT], 1)
    if len(vectors) < features or len(biases) != len(vectors):
        raise stored.damaged(f"{side}_vectors", "the model's vectors do not fit its features")
    ids = stored.ids(f"{side}_ids", side, len(vectors) - features)
    if not ids.is_sorted():
        raise stored.damaged(f"{side}_ids", "the model's ids are not in order")
    return LightFMSide(ids, vectors, biases)


LIGHTFM = SourceDefinition(
    name="lightfm",
    summary="items whose learnt vector is near the user's; new users and items by their features",
    settings=LightFMSettings,
    bind=_bind,
    has_user_vectors=True,
    fit=_fit,
    resume=_resume,
    store=_store,
    read=_read,
    item_similarity=_item_similarity,
    bounds={"num_candidates": Between(40, 200)},
    fit_bounds={
        "no_components": OneOf((32, 64, 128)),
        "learning_rate": OneOf((0.02, 0.05, 0.1)),
        "epochs": OneOf((10, 18, 36)),
        "half_life_days": OneOf((0.0, 30.0, 60.0, 120.0)),
    },
)
SOURCES = (LIGHTFM,)
