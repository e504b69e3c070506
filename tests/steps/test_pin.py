"""What changes while a process works does not get under a key that was taken before."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from recbench.errors import RecbenchError
from recbench.interfaces import Options
from recbench.spec.model import Loss
from recbench.steps import code


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """``module(text)`` writes a module of that content; gives its name."""
    name = "edited_while_it_ran"
    path = tmp_path / f"{name}.py"
    monkeypatch.syspath_prepend(tmp_path)

    def write(text: str) -> str:
        path.write_text(text)
        importlib.invalidate_caches()
        return name

    yield write
    sys.modules.pop(name, None)
    code._pinned.discard(name)
    for cached in (code.code_of, code._parsed, code._file):
        cached.cache_clear()


def test_an_edit_after_the_key_was_taken_is_refused(module) -> None:
    found = code.code_of((module("VALUE = 1\n"),))
    module("VALUE = 2\n")
    with pytest.raises(RecbenchError, match="edited_while_it_ran was edited while this process ran: run the command"):
        found.pin()


def test_what_is_pinned_runs_as_it_was_whatever_is_edited_later(module) -> None:
    name = module("VALUE = 1\n")
    found = code.code_of((name,))
    found.pin()
    module("VALUE = 2\n")
    found.pin()
    assert importlib.import_module(name).VALUE == 1


def test_a_comment_is_not_an_edit(module) -> None:
    found = code.code_of((module("VALUE = 1\n"),))
    module("# the one and only\nVALUE = 1\n")
    found.pin()


def test_a_file_behind_an_option_that_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("one")
    loss = Loss(name="lml", options={}, files={"file": "0" * 64}, paths={"file": str(path)})
    assert isinstance(loss.options, Options)
    with pytest.raises(RecbenchError, match=r"words.txt changed while it was in use: run the command again"):
        loss.make()
