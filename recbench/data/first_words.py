"""How many titles begin alike: what a model that writes titles has to tell apart after the first word.

Words and not tokens: every tokenizer then divides the test set alike, and models without one too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from recbench.types import Ints


def sharing_first_word(titles: Sequence[str]) -> Ints:
    """[items] how many titles begin with the first word of each, itself included; a title is not empty."""
    words = [title.split(maxsplit=1)[0] for title in titles]
    counts = Counter(words)
    return np.fromiter((counts[word] for word in words), np.int32, len(words))
