"""What the user sees: tables, progress, log lines and the HTML report."""
