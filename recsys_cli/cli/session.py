"""What a command knows beside its own arguments: `ctx.obj`."""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from recsys_cli.cli.display.safe_text import readable
from recsys_cli.cli.display.terminal import Terminal
from recsys_cli.cli.global_options import GlobalOptions

if TYPE_CHECKING:
    from recsys_cli.configs.loader import LoadedSettings

_SETTINGS_FILE = Path("settings/settings.toml")


class Session:
    """One run of the program: its options, its terminal and, once asked for, its settings.

    Attributes:
        log: the file of the run's log; None before there is one.
    """

    def __init__(self) -> None:
        self.log: Path | None = None
        self.options = GlobalOptions()
        self.terminal = Terminal()

    def begin(self, options: GlobalOptions) -> None:
        """Take over the options that were given."""
        self.options = options
        self.terminal.quiet = options.quiet

    @cached_property
    def loaded(self) -> "LoadedSettings":
        """The workspace's settings, loaded at the first use.

        Raises: SettingsError.
        """
        from recsys_cli.configs.loader import load_settings
        from recsys_cli.models.settings_tree import settings_tree

        loaded = load_settings(
            self.workspace(), self.options.environment, self.options.overrides, settings_tree()
        )
        self.terminal.secrets = loaded.secret_texts()
        return loaded

    def workspace(self) -> Path:
        """Return the workspace's folder; that it is one is checked when the settings are loaded.

        Raises: UsageError if its name is no text: polars cannot open such files, nor JSON name them.
        """
        named = self.options.directory or os.environ.get("RECSYS_WORKSPACE")
        here = Path(readable(str(Path(named or ".").absolute()), "the workspace's folder"))
        if named:
            return Path(named)
        return next((folder for folder in (here, *here.parents) if (folder / _SETTINGS_FILE).is_file()), here)


def session_of(ctx: typer.Context) -> Session:
    """Return the session of a command's context."""
    session = ctx.obj
    assert isinstance(session, Session)
    return session
