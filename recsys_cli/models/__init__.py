"""The two-stage model: candidate sources, the reranker, training, evaluation and stored versions."""
