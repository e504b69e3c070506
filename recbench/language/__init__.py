"""Causal language models: loading, low-rank adapters, quantisation and collaborative tokens."""
