"""Steps that compute nothing: their folder holds one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from recbench.steps.code import Code
from recbench.steps.step import Step, Work


class Plain(Step):
    """A step with the facts and needs that a test gives it; what happened is noted in ``log``."""

    kind = "plain"
    phase = "data"
    facts: Mapping[str, Any] = {}
    needs: Mapping[str, Step] = {}
    code = Code("0" * 16, {}, {})

    def __init__(self, facts: Mapping[str, Any], needs: Mapping[str, Step] | None = None, log: Any = None) -> None:
        self.facts, self.needs, self.log = facts, needs or {}, [] if log is None else log

    @property
    def title(self) -> str:
        return f"make {self.facts}"

    def build(self, folder: Path, work: Work) -> None:
        self.log.append(f"build {self.facts}")
        (folder / "file").write_text(str(dict(self.facts)))

    def load(self, folder: Path, work: Work, made: Any = None) -> list[str]:
        self.log.append(f"load {self.facts}")
        return [(folder / "file").read_text(), *(work.value(need)[0] for need in self.needs.values())]


@pytest.fixture
def plain() -> Callable[..., Step]:
    """``plain({"seed": 1}, needs, log)``: a step."""
    return Plain
