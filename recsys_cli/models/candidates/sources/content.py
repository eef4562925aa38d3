"""Content similarity: words of the title and values of list features. New items stand by it."""

import numpy as np
import polars as pl
from scipy import sparse

from recsys_cli.configs.candidate_sections import ContentSettings
from recsys_cli.data_preparation.features.day_features import DayFeatures
from recsys_cli.models.candidates.sources.item_knn import nearest, unit_rows
from recsys_cli.models.candidates.sources.similarity import ItemWeights
from recsys_cli.utils.columns import ITEM, TITLE

_WORDS = r"[\p{L}\p{N}]+"
_TOKEN = "token"


def content_weights(features: DayFeatures, settings: ContentSettings, threads: int) -> ItemWeights | None:
    """Return cosine similarities of the items' words, the nearest of each item; None without words.

    Words are weighted by rarity (TF-IDF); one that stands with a single item, or with too many, says
    nothing.
    """
    vectors = item_vectors(features, settings.max_item_share)
    if vectors.nnz == 0:
        return None
    weights = sparse.csr_matrix(nearest(vectors, settings.neighbours, threads).T)
    return ItemWeights(np.arange(len(features.items), dtype=np.int32), weights, len(features.items))


def item_vectors(features: DayFeatures, max_item_share: float = 1.0) -> sparse.csr_matrix:
    """Return (items, words) f64, rows of length 1, or 0 for items without a word that counts."""
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
    parts = [items.select(ITEM, words.alias(_TOKEN)).explode(_TOKEN)]
    parts += [
        items.select(ITEM, pl.col(name).alias(_TOKEN))
        .explode(_TOKEN)
        .with_columns(pl.concat_str(pl.lit(f"{name}="), pl.col(_TOKEN)).alias(_TOKEN))
        for name in lists
    ]
    return pl.concat(parts).drop_nulls().unique().sort(ITEM, _TOKEN)
