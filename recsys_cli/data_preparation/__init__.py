"""From the user's files to the tables, features and labels that models read."""
