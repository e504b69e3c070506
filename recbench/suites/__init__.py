"""Suites: grids of runs written down in YAML, and the published numbers that some of them repeat.

A suite's file::

    title: what it is
    published: table5.csv                   # optional, next to the file: method,dataset,<metric>,...
    published_as: {SmolLM2+MSL: BIGRec+MSL} # cell: the table's row, where their names differ
    names: {bigrec: BIGRec, lml: LML}       # how parts are called in cell names
    defaults: {seeds: 3}                    # flags of every cell
    cells:
      - {model: [bigrec, llara], loss: [lml, msl], name: "{model}+{loss}"}
      - {model: bigrec, loss: msl, grid: {loss.tau: [1, 2]}, name: MSL + tuning tau}
      - {model: bigrec, loss: lml, grid: {decoder: [constrained_beam, grounding]}, name: the better decoder}
    comparisons:
      - {of: BIGRec+MSL, over: [BIGRec+LML], improvement: true, deviation: true}
    controls:                               # a method next to itself without its idea
      - {of: LLaRA+MSL, cell: BIGRec+MSL, without: collaborative tokens}

``improvement`` asks for a row with the gain over the best of ``over``, ``deviation`` for a test of how much both
scatter over seeds.

A cell holds the flags of ``recbench run`` by name, options under ``set``, and a ``grid`` of options to choose on
validation. A grid may also range over the ``decoder``: the one that ranks the validation sample best with the trained
model is taken. A list in model, loss, decoder, dataset or llm stands for one cell each. ``null`` removes a default: a
flag, an option, a group of options, or all of ``set``. Default options that a cell's method does not have are skipped.
"""

from __future__ import annotations

from recbench.suites.load import load, names
from recbench.suites.suite import Cell, Comparison, Control, Suite

__all__ = ["Cell", "Comparison", "Control", "Suite", "load", "names"]
