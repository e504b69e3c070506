"""What SASRec and the methods built on it share: RecBole's transformer, trained by the bench's loop.

This package contains no method.

Known differences from RecBole (1.2.1), for all of them: its trainer, configuration and evaluator
are not used (the configuration evaluates the command line and sets CUDA_VISIBLE_DEVICES, the evaluator fails on numpy
2); training windows and loss are ours, every target is ranked against the whole catalogue, the padding item takes part
in no softmax, and the epoch is chosen on validation NDCG@10.
"""

from __future__ import annotations

from recbench.sequential.model import SequenceModel, left_aligned
from recbench.sequential.options import SequenceOptions, TransformerOptions

__all__ = ["SequenceModel", "SequenceOptions", "TransformerOptions", "left_aligned"]
