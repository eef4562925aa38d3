"""The terminal's side: commands, options and what they show; the only folder that knows typer and rich."""
