"""How both stages are learnt: label windows, the ranker's rows, the holdout, and everything again with it."""
