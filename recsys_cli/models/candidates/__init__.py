"""The first stage: sources propose candidates, which are merged for the reranker."""
