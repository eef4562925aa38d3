"""One file per command: its steps by name, on top of models and data preparation."""
