"""Prompt templates: the words around a history, and how a title is quoted.

``paper`` is Table 1 of the MSL paper in the Alpaca frame that BIGRec and its successors use; ``chat`` has these words
as a user's turn, framed by the model's own chat template (:mod:`recbench.prompts.chat`); ``titles`` holds nothing but
titles, for a model that has never seen English.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from recbench.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Template:
    """The fixed text of a prompt.

    Attributes:
        before, between, after: text before, between and after the titles of the history.
        title: format of one title, in history and answer alike.
        chat: whether prompt and answer are turns of a chat, as the model's own template frames them.
    """

    before: str
    between: str
    after: str
    title: str
    chat: bool = False

    def quote(self, title: str) -> str:
        """A title as the prompt shows it and as it is generated."""
        return self.title.format(title)


TEMPLATES = {
    "paper": Template(
        before=(
            "Below is an instruction that describes a task, paired with an input that provides further context. "
            "Write a response that appropriately completes the request.\n\n### Instruction:\n"
            "Given a list of {noun} the user has {verb} before, please recommend a new {noun_one} that the user likes "
            "to the user.\n\n### Input:\nThe user has {verb} the following {noun} before: "
        ),
        between=", ",
        after="\n\n### Response:\n",
        title='"{}"',
    ),
    "chat": Template(
        before=(
            "Given a list of {noun} the user has {verb} before, please recommend a new {noun_one} that the user likes "
            "to the user.\nThe user has {verb} the following {noun} before: "
        ),
        between=", ",
        after="",
        title='"{}"',
        chat=True,
    ),
    "titles": Template(before="", between="\n", after="\n", title="{}"),
}

NOUNS = {"ml-100k": ("movies", "movie", "watched"), "book": ("books", "book", "read"), "toy": ("toys", "toy", "played")}


def template(name: str, dataset: str, options: Mapping[str, Any] | None = None) -> Template:
    """The template ``name`` worded for a data set.

    Args:
        dataset: its label, which chooses the words (``items``, ``interacted with`` where it is unknown).
        options: the data set's: ``noun``, ``noun_one`` and ``verb`` go before its label's words, unless empty.

    Raises:
        UsageError: there is no such template.
    """
    if name not in TEMPLATES:
        raise UsageError(f"Unknown template {name!r}: {did_you_mean(name, TEMPLATES)}")
    noun, one, verb = NOUNS.get(dataset.lower(), ("items", "item", "interacted with"))
    found, own = TEMPLATES[name], options or {}
    words = found.before.format(
        noun=own.get("noun") or noun, noun_one=own.get("noun_one") or one, verb=own.get("verb") or verb
    )
    return replace(found, before=words)
