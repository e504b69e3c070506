"""Where a pretrained language model is read from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from recbench.errors import RecbenchError
from recbench.language.facts import is_gguf
from recbench.language.fingerprint import fingerprint
from recbench.steps.converted import ConvertedModel
from recbench.steps.step import Step, Work

if TYPE_CHECKING:
    from recbench.spec.model import LanguageModel


def llm_needs(llm: LanguageModel) -> dict[str, Step]:
    """The step that converts a GGUF checkpoint; empty for any other model."""
    return {"llm": ConvertedModel(llm)} if not llm.tiny and is_gguf(llm.place or llm.name) else {}


def model_place(llm: LanguageModel, needs: Mapping[str, Step], work: Work) -> str:
    """Where a pretrained model is read from: its folder, its converted checkpoint, or the hub.

    Raises:
        RecbenchError: a local model has changed since its fingerprint was taken.
    """
    if "llm" in needs:
        return str(work.path(needs["llm"]))
    check_unchanged(llm)
    return llm.place


def check_unchanged(llm: LanguageModel) -> None:
    """Refuse a local model that is not the one whose fingerprint was taken.

    Raises:
        RecbenchError: it is another one.
    """
    if llm.fingerprint and fingerprint(Path(llm.place)) != llm.fingerprint:
        raise RecbenchError(f"{llm.place} changed while it was in use: run the command again.")
