"""A GGUF checkpoint as safetensors, which load at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbench.errors import RecbenchError
from recbench.language.fingerprint import fingerprint
from recbench.language.load import convert_gguf
from recbench.steps.step import Step, Work

if TYPE_CHECKING:
    from recbench.spec.model import LanguageModel


@dataclass(frozen=True, eq=False)
class ConvertedModel(Step):
    """A dequantised language model."""

    llm: LanguageModel

    kind = "llm"
    phase = "data"

    @property
    def title(self) -> str:
        """What is converted."""
        return f"convert {self.llm.name}"

    @property
    def facts(self) -> Mapping[str, Any]:
        """The file's content."""
        return {"fingerprint": self.llm.fingerprint}

    @property
    def needs(self) -> Mapping[str, Step]:
        """Nothing."""
        return {}

    def build(self, folder: Path, work: Work) -> None:
        """Convert."""
        convert_gguf(self.llm.place, folder)
        if self.llm.fingerprint and fingerprint(Path(self.llm.place)) != self.llm.fingerprint:
            raise RecbenchError(f"{self.llm.place} changed while it was in use: run the command again.")

    def load(self, folder: Path, work: Work, made: Any = None) -> Path:
        """The folder."""
        return folder

    def pace(self) -> tuple[Mapping[str, Any], float, float]:
        """About 20 seconds for a small model."""
        return {}, 1.0, 20.0
