"""`recsys doctor`: the machine, the libraries and the files that runs would use."""

from dataclasses import asdict, replace

import typer

from recsys_cli.cli.recorded_run import open_workspace
from recsys_cli.cli.session import session_of


def doctor(ctx: typer.Context) -> None:
    """Show versions, threads, disk, settings files and what runs would read; changes nothing.

    Example: recsys doctor --json
    """
    session = session_of(ctx)
    workspace = open_workspace(session)
    from recsys_cli.configs.toml_files import FILES
    from recsys_cli.pipelines.doctor import Finding, collect_findings

    files = [
        Finding("settings", name, "read" if (workspace.root / name).exists() else "not there")
        for name in FILES
    ]
    hide = session.terminal.secrets.hide
    found = [
        replace(one, value=hide(one.value), problem=hide(one.problem)) for one in collect_findings(workspace)
    ]
    found = [*files, *found]
    if session.options.as_json:
        session.terminal.show_json({"schema_version": 1, "findings": [asdict(one) for one in found]})
        return
    for area in dict.fromkeys(one.area for one in found):
        rows = [
            (one.what, one.value if not one.problem else f"{one.value} – {one.problem}")
            for one in found
            if one.area == area
        ]
        session.terminal.show_table(area, ("what", "found"), rows)
    problems = sum(bool(one.problem) for one in found)
    session.terminal.say(
        f"{problems} problems" if problems else "no problem; `recsys check` reads the data too"
    )
