"""What `evaluate` is made of: ground truth, ablation of sources and the summary."""
