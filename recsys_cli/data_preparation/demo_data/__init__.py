"""A generated data set of a streaming service, to try the program with."""
