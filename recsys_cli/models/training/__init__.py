"""Training of both stages: label windows, the ranker's rows, the holdout and the final fit."""
