"""`recsys config`: every setting, its value and where it came from."""

import json
from typing import Annotated, Any

import typer

from recsys_cli.cli.session import session_of
from recsys_cli.utils.errors import UsageError

Key = Annotated[
    str | None, typer.Argument(help="One setting, such as ranker.depth, or a section, such as ranker.")
]


def show_config(ctx: typer.Context, key: Key = None) -> None:
    """Show each setting, its value and where it came from.

    Example: recsys config scoring.top_k
    """
    session = session_of(ctx)
    loaded = session.loaded
    values = _chosen(loaded.masked_values(), key)
    if session.options.as_json:
        settings = {name: {"value": value, "origin": loaded.origins[name]} for name, value in values.items()}
        session.terminal.show_json(
            {
                "schema_version": 1,
                "environment": loaded.environment,
                "workspace": str(loaded.workspace),
                "settings": settings,
            }
        )
        return
    rows = [
        (name, json.dumps(value, ensure_ascii=False), loaded.origins[name]) for name, value in values.items()
    ]
    session.terminal.show_table(
        f"Settings of {loaded.workspace}, environment {loaded.environment}", ("key", "value", "from"), rows
    )


def _chosen(values: dict[str, Any], key: str | None) -> dict[str, Any]:
    if key is None:
        return values
    wanted = key.lower()
    chosen = {
        name: value
        for name, value in values.items()
        if name.lower() == wanted or name.lower().startswith(f"{wanted}.")
    }
    if chosen:
        return chosen
    from recsys_cli.configs.schema import close_keys

    close = close_keys(wanted, list(values))
    raise UsageError(
        f"there is no setting {key!r}",
        where="recsys config",
        fix=f"did you mean {' or '.join(close)}?" if close else "recsys config lists them all",
    )
