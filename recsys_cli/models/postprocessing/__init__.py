"""Postprocessing: rules, variety, exploration and quotas, as pure functions of the ranked candidates."""
