"""Nightly batch recommendations from the command line: candidates, a reranker, and published lists."""
