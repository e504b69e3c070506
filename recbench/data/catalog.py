"""What datasets.yaml names: every data set with its source, size, checksums, licence and preparation."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from recbench import registry
from recbench.documents import read_yaml
from recbench.errors import DataError, UsageError, did_you_mean
from recbench.interfaces import DataSource


@dataclass(frozen=True)
class RawFile:
    """A raw file of a release.

    Attributes:
        url: where it is fetched from.
        size, sha256: bytes and checksum; None where they are not known, and then not checked.
    """

    url: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Published:
    """What a paper says of a data set.

    Attributes:
        where: the table.
        users, items, interactions: its counts.
        valid_tokens: average number of valid tokens a token, by the paper's tokenizer.
        differs: why our counts are others, by the source that the data is read with.
    """

    where: str
    users: int
    items: int
    interactions: int
    valid_tokens: float
    differs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """One data set of datasets.yaml.

    Attributes:
        name: what the user types after ``--dataset``.
        source: the plugin of group ``recbench.sources`` that reads it.
        title, licence, preparation: for people.
        size: bytes of all files together, None for your own data.
        sha256: by file name; empty for your own data.
        options: defaults for the source's options.
        layout: of the raw files that ``recbench data prepare`` reads; empty if the files only need downloading.
        raw: those files by name; empty where there are none.
        prepare: defaults for the steps of that preparation.
        published: what a paper says of the data of this name; None where none does.
        examples: whether a record may show some histories with titles; False where the licence forbids redistribution.
    """

    name: str
    source: str
    title: str
    licence: str
    preparation: str
    size: int | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    layout: str = ""
    raw: Mapping[str, RawFile] = field(default_factory=dict)
    prepare: Mapping[str, Any] = field(default_factory=dict)
    published: Published | None = None
    examples: bool = True


def registry_file() -> Path:
    """datasets.yaml: inside the package in an installed wheel, next to it in a clone or an editable install.

    Raises:
        DataError: it is in neither place.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package, package.parent):
        if (folder / "datasets.yaml").is_file():
            return folder / "datasets.yaml"
    raise DataError(f"datasets.yaml is neither in {package} nor next to it: reinstall recbench-toolkit.")


@cache
def datasets() -> dict[str, Entry]:
    """Every data set by name, in the order of datasets.yaml.

    Raises:
        DataError: the file is missing, is not YAML, or an entry lacks a field or has an unknown one.
    """
    path = registry_file()
    try:
        table = read_yaml(path).value
        if not isinstance(table, dict):
            raise ValueError("it must map a data set's name to its entry")
        return {str(name): _entry(str(name), values) for name, values in table.items()}
    except (UsageError, ValueError, TypeError) as error:
        raise DataError(f"{path} cannot be used: {str(error).rstrip('.')}.") from error


def _entry(name: str, values: Mapping[str, Any]) -> Entry:
    raw = {str(file): RawFile(**about) for file, about in (values.get("raw") or {}).items()}
    published = Published(**values["published"]) if values.get("published") else None
    if not isinstance(values.get("examples", True), bool):
        raise ValueError(f"examples of {name} must be true or false, not {values['examples']!r}")
    return Entry(name=name, **{**values, "raw": raw, "published": published})


def dataset(name: str) -> Entry:
    """The data set called ``name``.

    Raises:
        UsageError: datasets.yaml has none; suggests the nearest.
    """
    if name not in datasets():
        if os.path.exists(name):  # never an OSError
            form = "prepared" if Path(name).is_dir() else "csv"
            raise UsageError(f"Unknown data set {name!r}: for your own data, use --dataset {form} --data-dir {name}.")
        raise UsageError(f"Unknown data set {name!r}: {did_you_mean(name, datasets())}")
    return datasets()[name]


def shows_examples(name: object) -> bool:
    """Whether a record of the data set ``name`` may show histories and titles: all but those that its entry forbids.

    A name that is not text, as in a forged record, is that of no data set.
    """
    return not isinstance(name, str) or name not in datasets() or datasets()[name].examples


def entry(name: str) -> Entry:
    """The data set ``name``: of datasets.yaml, else an installed source of that name.

    Raises:
        UsageError: there is neither; suggests the nearest.
    """
    if name not in datasets() and name in registry.names("source"):
        summary = registry.get("source", name).summary
        return Entry(name, source=name, title=summary, licence="that of the data", preparation=summary)
    return dataset(name)


def open_source(name: str, options: Mapping[str, Any]) -> DataSource[Any]:
    """The data set's source, with ``options`` over the defaults of datasets.yaml; reads nothing yet.

    Raises:
        UsageError: an unknown data set or option, or an option's value is wrong.
    """
    found = entry(name)
    allowed = registry.get("source", found.source).options
    for key in options:
        if key not in allowed.model_fields:
            raise UsageError(f"Data set {name!r} has no option {key!r}: {did_you_mean(key, allowed.model_fields)}")
    try:
        values = allowed(**{**found.options, **options})
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(map(str, first["loc"]))
        raise UsageError(f"Option {option!r} of data set {name!r}: {first['msg']}, got {first['input']!r}.") from None
    source: DataSource[Any] = registry.get("source", found.source).implementation(values)
    return source
