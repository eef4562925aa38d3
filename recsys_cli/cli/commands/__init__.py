"""One short file per command: it parses the options, calls one pipeline and shows the result."""
