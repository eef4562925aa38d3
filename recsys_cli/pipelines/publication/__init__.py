"""Published recommendations: the file, its validation, lookup, statistics and comparison."""
