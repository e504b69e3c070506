"""The words of a prompt, for a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recbench.prompts.templates import Template, template

if TYPE_CHECKING:
    from recbench.spec.model import DataSet


def words(dataset: DataSet, name: str) -> Template:
    """The template ``name`` worded for the data set."""
    return template(name, dataset.called, dataset.plain()["options"])
