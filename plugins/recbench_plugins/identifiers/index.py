"""Index: one new token for each item, unrelated to the others.

Paper: Geng et al., "Recommendation as Language Processing (RLP): A Unified Pretrain, Personalized Prompt & Predict
Paradigm (P5)", RecSys 2022, https://doi.org/10.1145/3523227.3546767; as "independent indexing" in Hua et al., "How to
Index Item IDs for Recommendation Foundation Models", SIGIR-AP 2023, https://arxiv.org/abs/2305.06569. Original code:
github.com/jeykigung/P5, github.com/agiresearch/OpenP5.

Known differences:

- P5 spells an item as ``item_`` and its number, which a tokenizer splits into pieces that unlike items share. Here the
  item is a single token (``<item_17>``, by its place in the catalogue), Hua et al.'s independent indexing.
- An item that occurs in no training window keeps its token's initial embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recbench.interfaces import Identifier, IdentifierOptions, IdentifierPlugin, Names

if TYPE_CHECKING:
    from recbench.types import Catalog


class Index(Identifier[IdentifierOptions]):
    """A token for each item."""

    def names(self, catalog: Catalog) -> Names:
        """``<item_0>``, ``<item_1>`` and so on."""
        tokens = tuple(f"<item_{item}>" for item in range(len(catalog)))
        return Names(tokens, tokens)


plugin = IdentifierPlugin(
    implementation=Index,
    summary="one new token for each item (P5)",
    options=IdentifierOptions,
    paper="Geng et al., P5, RecSys 2022. https://doi.org/10.1145/3523227.3546767",
)
