"""The candidate sources, one per file."""
