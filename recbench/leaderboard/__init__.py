"""Committed records of anyone: verified, joined, signed."""
