"""Data sets: their catalogue, the protocol that windows and splits them, and the audit of the result."""
