"""Steps that any process can make, and what a store holds of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbench.steps.code import Code
from recbench.steps.step import Step


class Model(Step):
    """Facts, and nothing else; processes of their own can make it too."""

    kind = "model"
    phase = "training"
    title = "make a model"
    facts: Mapping[str, Any] = {}
    needs: Mapping[str, Step] = {}
    code = Code("0" * 16, {}, {})

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = facts

    def build(self, folder: Path, work: Any) -> None: ...

    def load(self, folder: Path, work: Any, made: Any = None) -> None: ...


ONE = Model({"dataset": "ml-100k", "seed": 1})
TWO = Model({"dataset": "ml-100k", "seed": 2})


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


def put(text: str = "x") -> Any:
    return lambda folder: (folder / "weights").write_text(text)


def visible(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("[!.]*"))


def partial(root: Path) -> list[Path]:
    return sorted((root / ".partial").glob("*"))
