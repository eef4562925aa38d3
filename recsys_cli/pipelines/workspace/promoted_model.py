"""A model over a day's features, checked to fit: what `score`, `explain` and `check` begin with."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import polars as pl
from loguru import logger

from recsys_cli.configs.dotted_keys import with_values
from recsys_cli.data_preparation.features.day_features import features_without_rows
from recsys_cli.data_preparation.features.eligibility import eligibility_problems
from recsys_cli.data_preparation.features.feature_tables import DayFeatures
from recsys_cli.data_preparation.readers.row_sources import shown_source
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.data_preparation.tables.problems import Problem, raise_errors
from recsys_cli.models.candidates.registry import EXTERNAL, external_settings
from recsys_cli.models.two_stage import schema_mismatches, sources_without_proposals
from recsys_cli.models.versions.bundle import Bundle, read_bundle, read_manifest
from recsys_cli.models.versions.registry import check_own, model_folder, promoted_version
from recsys_cli.models.versions.trained_settings import other_rows, without_effect
from recsys_cli.pipelines.workspace.feature_store import FeatureCheck, Partition, accept, open_features
from recsys_cli.pipelines.workspace.input_check import InputCheck
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.errors import ModelError


def open_bundle(day: ScoringDay, version: str | None = None) -> Bundle:
    """Return the promoted, or the named, model version.

    Raises: ModelError if there is none, it is damaged, or it has seen events on or after `day`.
    """
    workspace = day.workspace
    name = version or promoted_version(workspace.models)
    folder = model_folder(workspace.models, name)
    bundle = read_bundle(folder)
    check_own(bundle.manifest, folder)
    timezone = workspace.settings.timezone
    if bundle.cut > day.cut:
        zones = (f" in {bundle.timezone}", f" in {timezone}") if bundle.timezone != timezone else ("", "")
        raise ModelError(
            f"model {name} was trained on events up to {bundle.model.trained_through}{zones[0]}: "
            f"it has already seen {day}{zones[1]} and must not score it",
            where=workspace.models.location_of(name),
            fix=f"promote an older version (recsys models list), or run `recsys train --date {day}`",
        )
    return bundle


def has_model_for(day: ScoringDay) -> bool:
    """Return whether a model is promoted that has not seen the day."""
    models = day.workspace.models
    try:
        return read_manifest(model_folder(models, promoted_version(models))).trained_through <= day.date
    except ModelError:
        return False


def without_unused_deliveries(day: ScoringDay) -> ScoringDay:
    """Return the day, with external candidates off where the promoted model was not trained with them."""
    workspace = day.workspace
    if not external_settings(workspace.settings.candidates).is_on():
        return day
    try:
        manifest = read_manifest(model_folder(workspace.models, promoted_version(workspace.models)))
    except ModelError:
        return day  # it is told by what needs the model
    trained = manifest.stage.sources.get(EXTERNAL, {})
    if trained.get("path") and trained.get("num_candidates"):
        return day
    logger.warning(
        "external candidates are not read: model {} was trained without them; `recsys train` uses them",
        manifest.version,
    )
    settings = with_values(workspace.settings, {f"candidates.{EXTERNAL}.path": ""})
    return replace(day, workspace=replace(workspace, settings=settings))


def open_fitting_features(
    day: ScoringDay,
    bundle: Bundle,
    also: FeatureCheck = accept,
    lock: AbstractContextManager[object] | None = None,
    inputs: InputCheck | None = None,
) -> Partition:
    """Return the partition of `day`; features that the model or `also` refuses replace no stored ones.

    Args:
        lock, inputs: as in `open_features`.

    Raises: ModelError that lists every difference between what the model was trained on and what there is;
        InputError and OutputError as `open_features` does; InputError if no item may be recommended.
    """
    workspace = day.workspace
    items_file = shown_source(workspace.settings.data.items, workspace.root)

    def check(features: DayFeatures) -> None:
        _raise_schema_mismatches(
            workspace, bundle, features, sources_without_proposals(bundle.model, features)
        )
        raise_errors(eligibility_problems(features.items, day.date, items_file))
        also(features)

    return open_features(day, check, lock=lock, inputs=inputs)


def open_base(workspace: Workspace, tables: Tables) -> Bundle:
    """Return the promoted model, checked to fit the settings and inputs, to train further.

    Raises: ModelError if there is none, it is damaged, has seen later days or does not fit.
    """
    bundle = open_bundle(ScoringDay(workspace, tables.day))
    _raise_schema_mismatches(workspace, bundle, features_without_rows(tables, workspace.settings.features))
    return bundle


def trained_settings_problems(workspace: Workspace, bundle: Bundle) -> list[Problem]:
    """Return a warning about settings that scoring does not follow: the model keeps those of its training."""
    left = without_effect(bundle, workspace.settings)
    if not left:
        return []
    what = (
        "it keeps the settings of its training; these have no effect before a full `recsys train`: "
        + ", ".join(left)
    )
    fix = "run `recsys train`, or restore these settings"
    return [Problem(f"model {bundle.version}", what, fix, "warning")]


def lost_feature_problems(
    workspace: Workspace, bundle: Bundle, users: pl.LazyFrame, items: pl.LazyFrame
) -> list[Problem]:
    """Return a warning for each feature of the training that has none of its values now: a failed join.

    Args:
        users, items: a day's tables, which fit the model.
    """
    encoders, data = bundle.model.stage.encoders, workspace.settings.data
    sides = ((encoders.users, users, data.users), (encoders.items, items, data.items))
    fix = "deliver the column again, or run `recsys train` with what there is now"
    return [
        Problem(shown_source(table, workspace.root), line, fix, "warning")
        for encoder, frame, table in sides
        for line in encoder.lost_features(frame)
    ]


def _raise_schema_mismatches(
    workspace: Workspace, bundle: Bundle, features: DayFeatures, more: Sequence[str] = ()
) -> None:
    settings = workspace.settings
    viewed, meaning = settings.scoring.filter_viewed, settings.data.event_meaning
    wrong = [
        *schema_mismatches(bundle.model, features, filter_viewed=viewed, events=meaning),
        *other_rows(bundle, settings),
        *more,
    ]
    if wrong:
        raise ModelError(
            "\n".join([f"model {bundle.version} does not fit the settings and inputs", *wrong]),
            where=str(workspace.root / "settings"),
            fix="restore what it was trained with, or run `recsys train` again",
        )
