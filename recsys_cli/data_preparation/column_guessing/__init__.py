"""What `recsys init` guesses about the columns of the user's tables."""
