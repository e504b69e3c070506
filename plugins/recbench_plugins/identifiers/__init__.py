"""Built-in identifiers."""
