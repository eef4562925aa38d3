"""The inputs of a run: the tables before a day, and what was known on days before it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from recsys_cli.data_preparation.tables.contract import Tables, read_tables
from recsys_cli.data_preparation.tables.external_candidates import external_files, read_external
from recsys_cli.data_preparation.tables.past_entities import with_past_entities
from recsys_cli.models.candidates.registry import external_settings
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.utils.columns import ITEM_ID, USER_ID


def read_inputs(workspace: Workspace, day: date, feature_days: Sequence[date]) -> Tables:
    """Read the tables with the events before `day`, with what `with_days` adds.

    Args:
        feature_days: every day that features will be built for, each with its own external candidates and
            snapshots.

    Raises: InputError that lists all problems; SettingsError for a filter or `exclude` that does not parse.
    """
    settings = workspace.settings
    external_files(external_settings(settings.candidates), workspace.inputs, feature_days)
    tables = read_tables(settings.data, workspace.inputs, day, settings.timezone, settings.scoring.exclude)
    return with_days(tables, workspace, feature_days)


def with_days(tables: Tables, workspace: Workspace, days: Sequence[date]) -> Tables:
    """Return the tables with the external candidates of these days, and the users and items as of them.

    Each where there is such a source: external candidates, tables that are one a day.

    Raises: InputError that lists all problems.
    """
    settings = workspace.settings
    exclude = settings.scoring.exclude
    tables = with_past_entities(tables, settings.data, workspace.inputs, days, exclude)
    external = external_settings(settings.candidates)
    if not external.is_on():
        return tables
    ids = tables.users[USER_ID], tables.items[ITEM_ID]
    return replace(tables, external=read_external(external, workspace.inputs, days, *ids))
