"""Content similarity: words of the title and values of list features. It works for new items, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from pydantic import Field

from recsys_cli.configs.fields import Share
from recsys_cli.configs.source_sections import SourceSettings
from recsys_cli.data_preparation.features.day_features import declared
from recsys_cli.data_preparation.features.feature_tables import DayFeatures
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.definition import BoundSource, CatalogueSize, SourceDay, SourceDefinition
from recsys_cli.models.candidates.sources.item_knn import nearest, unit_rows
from recsys_cli.models.candidates.sources.similarity import NEIGHBOUR_BYTES, ItemWeights
from recsys_cli.utils.columns import ITEM, TITLE

if TYPE_CHECKING:
    from scipy import sparse

    from recsys_cli.models.postprocessing.item_similarity import ItemSimilarity

_WORDS = r"[\p{L}\p{N}]+"
_TOKEN = "token"


class ContentSettings(SourceSettings):
    """Items whose title and list features are like those of the user's items; new items too."""

    neighbours: int = Field(100, ge=1, le=10_000, description="kept of each item, the most similar first")
    max_item_share: Share = Field(0.1, description="words of a larger share of the items are ignored")


def content_weights(features: DayFeatures, settings: ContentSettings, threads: int) -> ItemWeights | None:
    """Return cosine similarities of the items' words, the nearest of each item; None without words.

    Words are weighted by rarity (TF-IDF); a word of a single item, or of too many, is left out.
    """
    from scipy import sparse

    vectors = item_vectors(features, settings.max_item_share)
    if vectors.nnz == 0:
        return None
    weights = sparse.csr_matrix(nearest(vectors, settings.neighbours, threads).T)
    return ItemWeights(np.arange(len(features.items), dtype=np.int32), weights, len(features.items))


def item_vectors(features: DayFeatures, max_item_share: float = 1.0) -> sparse.csr_matrix:
    """Return (items, words) f64, rows of length 1, or 0 for items without a word that counts."""
    from scipy import sparse

    items = len(features.items)
    numbers = item_tokens(features).select(
        ITEM,
        pl.col(_TOKEN).rank("dense").cast(pl.Int64).alias("column"),
        pl.len().over(_TOKEN).alias("count"),
    )
    numbers = numbers.filter(pl.col("count").is_between(2, max(2, items * max_item_share)))
    rarity = numbers.select((items / pl.col("count")).log()).to_series().to_numpy()
    width = int(numbers["column"].max() or 0) + 1  # type: ignore[arg-type]
    places = (numbers[ITEM].to_numpy(), numbers["column"].to_numpy())
    return unit_rows(sparse.csr_matrix((rarity, places), shape=(items, width)))


def item_tokens(features: DayFeatures) -> pl.DataFrame:
    """Return the distinct item, token: words of the title in lower case, values of the list features."""
    items = features.items.with_row_index(ITEM)
    words = pl.col(TITLE).str.to_lowercase().str.extract_all(_WORDS)
    lists = [name for name in features.item_features if isinstance(items.schema[name], pl.List)]
    tokens = [items.select(ITEM, words.alias(_TOKEN)).explode(_TOKEN)]
    tokens += [
        items.select(ITEM, pl.col(name).alias(_TOKEN))
        .explode(_TOKEN)
        .with_columns(pl.concat_str(pl.lit(f"{name}="), pl.col(_TOKEN)).alias(_TOKEN))
        for name in lists
    ]
    return pl.concat(tokens).drop_nulls().unique().sort(ITEM, _TOKEN)


def _bind(day: SourceDay[ContentSettings]) -> BoundSource | None:
    weights: ItemWeights | None = day.prepared
    if weights is None:
        return None
    bound = weights.bound(day.eligible)
    return lambda users: bound.of_users(day.name, users.recency, day.settings.num_candidates)


def _item_similarity(day: SourceDay[ContentSettings]) -> ItemSimilarity | None:
    from recsys_cli.models.postprocessing.item_similarity import ItemSimilarity

    vectors = item_vectors(day.features, day.settings.max_item_share)
    return ItemSimilarity.of_tokens(vectors) if vectors.nnz else None


def _no_data(tables: Tables, _settings: ContentSettings) -> str:
    lists = [name for name in declared(tables.items) if isinstance(tables.items.schema[name], pl.List)]
    if not lists and tables.items[TITLE].null_count() == len(tables.items):
        return "items have neither a title nor list features"
    return ""


def _why_no_proposals(features: DayFeatures, settings: ContentSettings) -> str:
    if item_vectors(features, settings.max_item_share).nnz:
        return ""
    return "no two items share a word of their titles or a value of a list feature"


def _bytes(settings: ContentSettings, size: CatalogueSize) -> int:
    return NEIGHBOUR_BYTES * size.items * min(settings.neighbours, size.items)


CONTENT = SourceDefinition(
    name="content",
    summary="items whose titles and list features are like those of the user's; new items too",
    settings=ContentSettings,
    bind=_bind,
    item_similarity=_item_similarity,
    prepare=content_weights,
    no_data=_no_data,
    why_no_proposals=_why_no_proposals,
    fit_bytes=_bytes,
)
SOURCES = (CONTENT,)
