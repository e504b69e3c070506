"""Identifies the model that ``--llm`` names without loading it: its kind, its place and its fingerprint or commit."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recbench.errors import UsageError
from recbench.files import read_json, reason
from recbench.language import hub
from recbench.language.fingerprint import fingerprint
from recbench.spec.llm import TINY

CONFIGS = ("config.json", "tokenizer_config.json")  # either may ask for custom code


@dataclass(frozen=True)
class LanguageModelFacts:
    """A language model as a spec identifies it, and where it is.

    Attributes:
        name: how specs call it: the last folder or the file of a local model, the whole identifier of a hub model.
        kind: tiny is built here; folder and gguf are local.
        place: what to load: an absolute path, a hub identifier, or tiny. Never recorded.
        fingerprint: of a local model, else None.
        commit: of a hub model, else None.
        note: what a person should know about the choice of the commit; mostly empty.
    """

    name: str
    kind: Literal["tiny", "folder", "gguf", "hub"]
    place: str
    fingerprint: str | None = None
    commit: str | None = None
    note: str = ""


def describe_llm(text: str, revision: str = "") -> LanguageModelFacts:
    """Find the language model that ``--llm`` names.

    Args:
        text: tiny, a model folder, a .gguf file or a hub identifier; the first ``~`` is your home.
        revision: branch, tag or commit of a hub model; empty takes the newest.

    Raises:
        UsageError: it is not there, not a model, an adapter, or needs its own code.
        RecbenchError: the hub cannot be reached and there is no local copy; a file cannot be read.
    """
    if text == TINY:
        facts = LanguageModelFacts(TINY, "tiny", TINY)
    elif text.startswith((".", "/", "~")) or is_gguf(text) or os.path.exists(text):
        path = expanded(text)
        _check_local(text, path)
        name = path.resolve().name
        name = name if name != TINY else f"./{name}"
        facts = LanguageModelFacts(name, "gguf" if path.is_file() else "folder", str(path), fingerprint(path))
    else:
        _check_identifier(text)
        commit = hub.commit_of(text, revision)
        return LanguageModelFacts(text, "hub", text, commit=commit.hash, note=commit.note)
    if revision:
        raise UsageError(f"llm.revision={revision} does not apply: --llm {text} is not from the hub.")
    return facts


def is_gguf(place: str) -> bool:
    """Whether a place is a GGUF file."""
    return place.endswith(".gguf")


def expanded(text: str) -> Path:
    """A path that a person wrote, absolute; the only place where ``~`` becomes a home.

    Raises:
        UsageError: the user after ``~`` is unknown on this machine.
    """
    try:
        return Path(os.path.abspath(Path(text).expanduser()))
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"{text!r} is not a path here: {error}.") from error


def refuse_code(said: str, file: Path) -> None:
    """Refuse a configuration that needs its own code: recbench runs transformers' models only.

    Raises:
        UsageError: it does, or is not a JSON object.
    """
    try:
        found = read_json(file)
    except OSError as error:
        raise UsageError(f"{said}: {file.name} cannot be read ({reason(error)}).") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{said}: {file.name} is not JSON ({hub.first_line(error)}).") from error
    if not isinstance(found, dict):
        raise UsageError(f"{said}: {file.name} holds no JSON object.")
    if found.get("auto_map"):
        raise UsageError(
            f"{said} needs its own code (auto_map in {file.name}), which recbench never runs: use a model that "
            "transformers implements."
        )


def _check_local(text: str, path: Path) -> None:
    """Refuse a path that is neither a model folder nor a GGUF file."""
    said = f"--llm {text!r}"
    if not os.path.exists(path):
        raise UsageError(f"{said} does not exist: give 'tiny', a model folder, a .gguf file or a hub identifier.")
    if not path.is_dir():
        if not (path.is_file() and is_gguf(path.name)):
            raise UsageError(f"{said} is a file but not a .gguf one: give a model folder or a .gguf file.")
        return
    if (path / "adapter_config.json").exists():
        raise UsageError(hub.adapter(said))
    if not (path / "config.json").is_file():
        raise UsageError(f"{said} has no config.json: give the folder that save_pretrained() wrote.")
    for config in CONFIGS:
        if (path / config).exists():
            refuse_code(said, path / config)
    if not any(path.glob("*.safetensors")):
        raise UsageError(f"{said} has no .safetensors weights, and recbench opens no pickled ones.")


def _check_identifier(text: str) -> None:
    """Refuse what can be no hub identifier, before asking the hub."""
    if "/" not in text and difflib.get_close_matches(text, [TINY], cutoff=0.6):
        raise UsageError(f"--llm {text!r} is not a folder here: did you mean 'tiny'?")
    if not re.fullmatch(r"([\w.-]+/)?[\w.-]+", text, re.A):
        raise UsageError(f"--llm {text!r} is neither a folder here nor a hub identifier (OWNER/NAME).")
