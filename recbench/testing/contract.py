"""The contract of every kind of plugin: an entry point, a lightweight descriptor, documented options."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from recbench import registry
from recbench.interfaces import Plugin, Signal


class Contract:
    """An entry point, its descriptor and its options."""

    kind: ClassVar[str]
    signal: ClassVar[Signal | None] = None
    name: ClassVar[str]
    """What the user types: the entry point's name."""
    options: ClassVar[Mapping[str, Any]] = {}
    """Option values to test with."""

    @pytest.fixture(autouse=True, scope="class")
    def installed(self, request: pytest.FixtureRequest) -> None:
        """Without its package installed no test can say anything, so each says that."""
        if self.name not in registry.names(self.kind):
            pytest.fail(_missing(self.kind, self.name, request.path), pytrace=False)

    @property
    def plugin(self) -> Plugin:
        """The descriptor."""
        return registry.get(self.kind, self.name)

    def make(self, *arguments: Any) -> Any:
        """A fresh instance with ``options``."""
        return self.plugin.implementation(self.plugin.options(**self.options), *arguments)

    def test_is_registered(self) -> None:
        """The entry point names a descriptor, and its implementation has the right base class."""
        assert self.signal in (None, self.plugin.signal), f"{self.name} is for {self.plugin.signal}"

    def test_descriptor_is_light(self) -> None:
        """Reading the descriptor imports no deep-learning library (in a fresh process)."""
        code = (
            "import sys; from recbench import registry; registry.get(sys.argv[1], sys.argv[2]); "
            "print(*{'torch', 'transformers', 'peft', 'recbole', 'trl'} & set(sys.modules))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, self.kind, self.name], capture_output=True, text=True, check=True
        )
        assert not done.stdout.strip(), f"reading the descriptor imports {done.stdout.strip()}"

    def test_unknown_options_are_errors(self) -> None:
        """A misspelt option is refused, not ignored."""
        with pytest.raises(ValueError, match="no_such_option"):
            self.plugin.options(**{"no_such_option": 1})

    def test_options_have_defaults_and_descriptions(self) -> None:
        """``recbench describe`` has something to say about every option, and each can be left out."""
        fields = self.plugin.options.model_fields
        silent = [name for name, field in fields.items() if not field.description]
        assert not silent, f"options without a description: {', '.join(silent)}"
        required = [name for name, field in fields.items() if field.is_required()]
        assert not required, f"options without a default: {', '.join(required)}"


def _missing(kind: str, name: str, test: Path) -> str:
    """What to do where no installed package registers a plugin; ``test`` lies somewhere in its project."""
    project = next((folder for folder in test.parents if (folder / "pyproject.toml").is_file()), None)
    place = "FOLDER" if project is None else shlex.quote(os.path.relpath(project))
    return f"No installed package registers the {kind} {name!r}: run pip install -e {place}"
