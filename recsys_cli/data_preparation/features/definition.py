"""Features of other packages: one `FeatureDefinition` each, found by its entry point."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Generic, TypeVar

import numpy as np
import polars as pl

from recsys_cli.configs.sections import FeatureSettings, FeaturesSettings
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.utils.errors import SettingsError
from recsys_cli.utils.plugins import Plugin, load_plugins, refuse_plugin

GROUP: Final = "recsys.features"  # of entry points
F = TypeVar("F", bound=FeatureSettings)
Columns = Mapping[str, np.ndarray]  # f32 by name, NaN for null
PairColumns = Callable[[Columns, Columns], Columns]  # of the users and of the items of some pairs


@dataclass(frozen=True, kw_only=True)
class FeatureDefinition(Generic[F]):
    """Columns that a package adds to the users, to the items or to the pairs of both.

    Only events before `tables.day` are in the tables: a feature reads no clock and no other source.

    Example: how long an item's title is.
        FEATURE = FeatureDefinition(
            name="letters", summary="letters of a title", settings=FeatureSettings,
            item_columns=lambda tables, _: tables.items.select(item_size=pl.col("title").str.len_chars())
        )

    Attributes:
        name: of the section `features.NAME`.
        summary: what it says, in a few words.
        settings: the class of its section.
        user_columns: a row a user of `tables.users`, in its order; names begin with "user_". A user's
            row depends on that user's own events and on items, not on other users.
        item_columns: the same for items, from the events of all users; names begin with "item_".
        pair_columns: of pairs, from the columns of their users and items; names begin with "pair_".
    """

    name: str
    summary: str
    settings: type[F]
    user_columns: Callable[[Tables, F], pl.DataFrame] | None = None
    item_columns: Callable[[Tables, F], pl.DataFrame] | None = None
    pair_columns: Callable[[Columns, Columns, F], Columns] | None = None


Definition = FeatureDefinition[Any]


@cache
def feature_plugins() -> Mapping[str, Plugin]:
    """Return the features of other packages by name.

    Raises: SettingsError for a package whose feature cannot be loaded or has the name of another setting.
    """
    found: dict[str, Plugin] = {}
    for plugin in load_plugins(GROUP, FeatureDefinition):
        if plugin.loaded.name != plugin.name:
            raise refuse_plugin(plugin, f"the feature calls itself {plugin.loaded.name!r}")
        if plugin.name in found or plugin.name in FeaturesSettings.model_fields:
            raise refuse_plugin(plugin, "there is another setting or feature of this name")
        found[plugin.name] = plugin
    return found


def feature_definitions() -> dict[str, Definition]:
    """Return the features of other packages by name."""
    return {name: plugin.loaded for name, plugin in feature_plugins().items()}


def with_plugin_columns(
    side: str, frame: pl.DataFrame, tables: Tables, settings: FeaturesSettings
) -> pl.DataFrame:
    """Return the users or items with the columns that other packages add, f32.

    Args:
        side: "user" or "item".

    Raises: SettingsError that names the package where its columns are not what they must be.
    """
    for name, section in settings.plugins().items():
        make = getattr(feature_definitions()[name], f"{side}_columns")
        if make is not None:
            columns = make(tables, section)
            _check_columns(name, side, columns.columns, frame.columns)
            if columns.height != frame.height:
                what = f"it gives {columns.height} rows for {frame.height} {side}s"
                raise _refused(name, what)
            frame = frame.hstack(columns.select(pl.all().cast(pl.Float32).fill_nan(None)).get_columns())
    return frame


def pair_functions(sections: Mapping[str, FeatureSettings]) -> tuple[PairColumns, ...]:
    """Return what gives the columns of pairs, for the features with these sections."""
    definitions = feature_definitions()
    return tuple(
        _pair_function(definitions[name], section)
        for name, section in sections.items()
        if definitions[name].pair_columns is not None
    )


def _pair_function(definition: Definition, section: FeatureSettings) -> PairColumns:
    def columns(users: Columns, items: Columns) -> Columns:
        assert definition.pair_columns is not None
        made = definition.pair_columns(users, items, section)
        _check_columns(definition.name, "pair", list(made), ())
        return {name: np.asarray(values, dtype=np.float32) for name, values in made.items()}

    return columns


def _check_columns(name: str, side: str, columns: Sequence[str], taken: Sequence[str]) -> None:
    wrong = [one for one in columns if not one.startswith(f"{side}_") or one in taken]
    if wrong:
        raise _refused(name, f"its columns {', '.join(wrong)} must begin with {side}_ and be new")


def _refused(name: str, why: str) -> SettingsError:
    return refuse_plugin(feature_plugins()[name], why)
