"""What `tune` is made of: the search space, the search and its stored study."""
