"""Built-in slices of the test set."""
