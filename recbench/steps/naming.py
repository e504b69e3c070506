"""The names of items, by an identifier and what it learned; a trie need not know how that is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recbench import registry
from recbench.interfaces.identifiers import IdentifierOptions
from recbench.prompts.names import check

if TYPE_CHECKING:
    from recbench.interfaces import Names
    from recbench.spec.model import Identifier
    from recbench.steps.step import Step, Work
    from recbench.types import Catalog


def early(naming: Identifier) -> dict[str, Any]:
    """An identifier as far as it decides the names."""
    return {"name": naming.name, "options": naming.early_options(), "files": naming.files}


def names_of(naming: Identifier, learned: Step | None, catalog: Catalog, work: Work) -> Names:
    """What stands for the items of a catalogue.

    Raises:
        RecbenchError: the identifier's names cannot stand for them; names it.
    """
    made = naming.make()
    if learned is not None:
        made.restore(work.value(learned))
    names: Names = made.names(catalog)
    check(names, len(catalog), f"Identifier {naming.name!r} of {registry.origin('identifier', naming.name)}")
    return names


def sources_of(naming: Identifier) -> frozenset[str]:
    """What an identifier learns from; empty for one that learns nothing."""
    return naming.options.learns_from() if isinstance(naming.options, IdentifierOptions) else frozenset()
