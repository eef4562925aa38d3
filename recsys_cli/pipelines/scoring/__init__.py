"""What `score` is made of: plan, batches on cores or Ray, checkpoint, reused lists and publish gates."""
