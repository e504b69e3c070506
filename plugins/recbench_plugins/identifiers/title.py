"""Titles: an item is its title, as the prompt template quotes it.

Paper: Bao et al., "A Bi-Step Grounding Paradigm for Large Language Models in Recommendation Systems", 2023,
https://arxiv.org/abs/2308.08434, and the methods that the MSL paper compares. Original code:
github.com/SAI990323/BIGRec.

Known differences: items that share a title are told apart by the data set's preparation (``dataset.namesakes``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recbench.interfaces import Identifier, IdentifierPlugin, Names, Options

if TYPE_CHECKING:
    from recbench.types import Catalog


class Title(Identifier[Options]):
    """The catalogue's titles, without a new token."""

    def names(self, catalog: Catalog) -> Names:
        """The titles."""
        return Names(catalog.titles)


plugin = IdentifierPlugin(
    implementation=Title,
    summary="the item's title",
    tokens=False,
    titles=True,
    paper="Bao et al., BIGRec, 2023. https://arxiv.org/abs/2308.08434",
)
