"""Where data comes from: one file for each source."""
