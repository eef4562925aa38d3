"""Typed settings, layered from files, environment variables and the command line."""
