"""recbench: one protocol for LLM-based sequential recommendation."""

__version__ = "0.3.0"
