"""The settings that a model keeps from its training, whatever today's settings are."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from recsys_cli.configs.dotted_keys import flat, with_values
from recsys_cli.configs.secrets import shown
from recsys_cli.configs.sections import Settings
from recsys_cli.models.versions.bundle import Bundle
from recsys_cli.utils.credentials import MASK

_AT_SCORING: Final = {"features.max_categories"}
_AT_WARM_START: Final = {  # the new trees and their label window
    "ranker.loss_function",
    "ranker.depth",
    "ranker.learning_rate",
    "ranker.rsm",
    "ranker.random_state",
    "ranker.label_days",
    "ranker.n_negatives",
    "ranker.max_train_users",
    "ranker.max_train_rows",
}
_EVENT_COLUMNS: Final = ("data.interactions.columns.weight", "data.interactions.columns.event_type")
_DELIVERY: Final = ("candidates.external.path", "candidates.external.columns")  # where there is a delivery


def row_settings(settings: Settings, secrets: Collection[str]) -> dict[str, str]:
    """Return what the rows of the tables are chosen and weighed by, by dotted key; secrets are masked."""
    data = settings.data
    tables = {"interactions": data.interactions, "users": data.users, "items": data.items}
    values = {f"data.{name}.filter": table.filter for name, table in tables.items()}
    values |= {key: data.interactions.columns.get(key.rpartition(".")[2], "") for key in _EVENT_COLUMNS}
    return {key: MASK if value and key in secrets else value for key, value in values.items()}


def other_rows(bundle: Bundle, settings: Settings) -> list[str]:
    """Return, a line each, what chooses or weighs rows otherwise than at the training.

    Models that do not know it match.
    """
    trained, today = bundle.manifest.reading or {}, row_settings(settings, ())
    meaning = settings.data.event_meaning.types or bundle.model.stage.events.types
    apart = _EVENT_COLUMNS if meaning else ()  # differences of events' meaning name these columns
    return [
        f"{key}: trained with {value or 'nothing'!r}; now {today[key] or 'nothing'!r}"
        for key, value in trained.items()
        if key in today and value not in (today[key], MASK) and key not in apart
    ]


def without_effect(bundle: Bundle, settings: Settings) -> list[str]:
    """Return, a line each, the settings of today that scoring with a trained model does not follow."""
    return list(_differences(_trained(bundle, _AT_SCORING), settings))


def left_by_warm_start(base: Bundle, settings: Settings) -> list[str]:
    """Return, a line each, the settings of today that a warm start from `base` does not follow."""
    return list(_differences(_trained(base, _AT_WARM_START), settings))


def warm_start_settings(base: Bundle, settings: Settings) -> Settings:
    """Return the settings of a warm start from `base`: today's, except those that the model keeps."""
    known = flat(settings.model_dump(mode="json"))
    trained = _trained(base, _AT_WARM_START).items()
    return with_values(settings, {key: value for key, value in trained if key in known})


def _trained(bundle: Bundle, of_today: Collection[str]) -> dict[str, Any]:
    """Return the settings of the training by dotted key, without secrets and keys that are read anew."""
    stage = bundle.model.stage
    trained = {
        "candidates": stage.settings.model_dump(mode="json"),
        "features": {"max_categories": stage.max_categories},
        "ranker": bundle.manifest.settings.ranker,
    }
    anew = _DELIVERY if trained["candidates"].get("external", {}).get("path") else ()
    return {
        key: value
        for key, value in flat(trained).items()
        if value != MASK and key not in of_today and not key.startswith(tuple(anew))
    }


def _differences(trained: Mapping[str, Any], settings: Settings) -> Iterator[str]:
    today = flat(settings.model_dump(mode="json"))
    for key, value in trained.items():
        if key in today and today[key] != value:
            yield f"{key} = {shown(today[key], secret=False)} (the model's: {shown(value, secret=False)})"
