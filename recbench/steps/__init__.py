"""The steps of an experiment: a graph of artefacts, each named by everything that makes it."""
