"""A broken plugin: listed with its reason, and one sentence for whoever uses it."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest

from recbench import registry
from sentences import assert_one_sentence, listing

RUN = ["run", "--device", "cpu", "--model"]
OWN = ["--dataset", "csv", "--data-dir"]


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two losses more: one whose module does not import, one claimed by two distributions."""
    real = registry._entries

    def claim(name: str, value: str, owner: str) -> EntryPoint:
        entry = EntryPoint(name, value, "recbench.losses")
        vars(entry).update(dist=SimpleNamespace(name=owner, version="1.0"))
        return entry

    def entries(kind: str) -> dict[str, list[EntryPoint]]:
        found = dict(real(kind))
        if kind == "loss":
            found["sunk"] = [claim("sunk", "no_such_package.loss:plugin", "sunk-dist")]
            found["twin"] = [claim("twin", f"{o}:plugin", o) for o in ("one-dist", "two-dist")]
            found["alien"] = [claim("alien", "json:dumps", "alien-dist")]
        return found

    monkeypatch.setattr(registry, "_entries", entries)


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("name", "culprits"),
    [("sunk", ["sunk-dist", "no_such_package"]), ("twin", ["one-dist", "two-dist"]), ("alien", ["alien-dist"])],
)
def test_broken_plugins(name: str, culprits: list[str], call, tmp_path: Path) -> None:
    before = listing(tmp_path)
    for command in ([*RUN, "bigrec", "--loss", name], ["describe", "loss", name]):
        assert_one_sentence(call(*command), repr(name), *culprits)
    assert listing(tmp_path) == before


@pytest.mark.usefixtures("plugins")
def test_broken_plugins_are_listed_with_their_reason(call) -> None:
    result = call("list", "losses")
    assert result.exit_code == 0
    for name, reason in (("sunk", "no_such_package"), ("twin", "one-dist and two-dist"), ("alien", "alien-dist")):
        line = next(line for line in result.stdout.splitlines() if line.startswith(name))
        assert "BROKEN" in line
        assert reason in line
    assert "masked softmax" in result.stdout
