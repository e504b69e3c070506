"""Ways to search a catalogue with a trained model, for decoders to use; and the check of what a decoder returned.

:mod:`.beam`, :mod:`.best_first` and :mod:`.generate` search with a language model, :mod:`.batches` gives them users in
batches, and :mod:`.beams` is what decoders that search by beams share; :mod:`.item_scores` scores given titles;
:mod:`.nearest` compares embeddings; :mod:`.top` sorts scores.
"""

from __future__ import annotations

from recbench.search.check import checked
from recbench.search.top import top

__all__ = ["checked", "top"]
