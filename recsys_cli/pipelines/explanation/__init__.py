"""What `explain` is made of: what was published, and how far an item came."""
