"""The inputs of a run: the tables before a day, and external candidates beside them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from recsys_cli.data_preparation.tables.contract import Tables, read_tables
from recsys_cli.data_preparation.tables.external_candidates import external_files, read_external
from recsys_cli.models.candidates.registry import external_settings
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.utils.columns import ITEM_ID, USER_ID


def read_inputs(workspace: Workspace, day: date, external_days: Sequence[date]) -> Tables:
    """Read the tables with the events before `day`, and external candidates where that source is on.

    Args:
        external_days: every day that features will be built for, each with its own external candidates.

    Raises: InputError that lists all problems; SettingsError for a filter or `exclude` that does not parse.
    """
    settings = workspace.settings
    external_files(external_settings(settings.candidates), workspace.inputs, external_days)
    tables = read_tables(settings.data, workspace.inputs, day, settings.timezone, settings.scoring.exclude)
    return with_external(tables, workspace, external_days)


def with_external(tables: Tables, workspace: Workspace, days: Sequence[date]) -> Tables:
    """Return the tables with the external candidates of these days, where that source is on.

    Raises: InputError that lists all problems.
    """
    external = external_settings(workspace.settings.candidates)
    if not external.is_on():
        return tables
    ids = tables.users[USER_ID], tables.items[ITEM_ID]
    return replace(tables, external=read_external(external, workspace.inputs, days, *ids))
