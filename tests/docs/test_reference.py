"""The generated reference says what is installed, and every page and picture is shown somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
import yaml

from recbench import registry
from recbench.data.catalog import datasets
from recbench.interfaces import KINDS, PLURALS

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(hooks: ModuleType) -> dict[str, str]:
    return hooks.pages()


@pytest.mark.parametrize(("kind", "plural"), zip(KINDS, PLURALS, strict=True))
def test_every_method_with_its_paper_and_options(pages: dict[str, str], kind: str, plural: str) -> None:
    ours = [name for name in registry.names(kind) if registry.distribution(kind, name)[0] == "recbench-toolkit"]
    parts = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", pages[plural], re.MULTILINE | re.DOTALL))
    assert list(parts) == ours
    for name, text in parts.items():
        plugin = registry.get(kind, name)
        assert plugin.paper in text
        group = "dataset" if kind == "source" else kind
        assert re.findall(rf"^\| `{group}\.(\w+)`", text, re.MULTILINE) == list(plugin.options.model_fields)


def test_every_command_and_data_set(pages: dict[str, str]) -> None:
    assert re.findall(r"^## (.*)$", pages["datasets"], re.MULTILINE) == list(datasets())
    commands = re.findall(r"^## (.*)$", pages["commands"], re.MULTILINE)
    assert {"recbench", "recbench run", "recbench leaderboard build"} <= set(commands)
    assert len(commands) == len(set(commands))


def test_papers_begin_with_that_of_the_protocol(hooks: ModuleType) -> None:
    rows = hooks.papers().splitlines()[2:]
    assert "MSL, SIGIR 2025" in rows[0]
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])]
    assert {"msl", "bigrec", "llara", "grounding", "ml-100k"} <= set(named)


def test_every_page_is_in_the_navigation(pages: dict[str, str]) -> None:
    def leaves(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        entries = entry.values() if isinstance(entry, dict) else entry
        return [leaf for one in entries for leaf in leaves(one)]

    shown = leaves(yaml.safe_load((DOCS.parent / "mkdocs.yml").read_text())["nav"])
    written = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]
    assert sorted(shown) == sorted([*written, *(f"reference/{name}.md" for name in pages)])


def test_every_picture_is_shown_and_described(hooks: ModuleType) -> None:
    text = (DOCS / "concepts.md").read_text(encoding="utf-8")
    inline = hooks.on_page_markdown(text)
    for path in DOCS.glob("pictures/*.svg"):
        assert f"](pictures/{path.name})" in text
        picture = ElementTree.parse(path).getroot()
        names = [child.tag.rpartition("}")[2] for child in picture]
        assert {"title", "desc"} <= set(names)
        assert f'aria-labelledby="{path.stem}-t {path.stem}-d"' in inline
    assert "<style>" not in inline  # it would colour the whole page
