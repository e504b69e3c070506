"""From a source to a checked split, and a split to files and back."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from recbench.data.audit import audit
from recbench.errors import DataError
from recbench.files import read_json, write_atomic
from recbench.interfaces import DataSource, Reporter
from recbench.types import Catalog, Sequences, Split

_PARTS = ("train", "valid", "test")
_COLUMNS = ("users", "history", "target", "time")


def prepare(source: DataSource[Any], reporter: Reporter, expected: Mapping[str, str] | None = None) -> Split:
    """Read, window, split and audit a data set.

    Args:
        source: an opened one.
        reporter: progress.
        expected: sha256 by file name that the result is going to be named after: the source's ``inputs``.

    Returns:
        The split; its facts hold the preparation's and the audit's counts.

    Raises:
        DataError: the raw files or the resulting split are not what they should be, or a file changed meanwhile.
    """
    split = source.prepare(reporter)
    if expected is not None and split.sources != expected:
        changed = sorted(n for n in {*split.sources, *expected} if split.sources.get(n) != expected.get(n))
        raise DataError(f"{', '.join(changed)} changed while it was read: run it again.")
    repeats = getattr(source.options, "repeated_windows", "refused") == "counted"
    return replace(split, facts={**split.facts, **audit(split, repeats)})


def save_split(split: Split, folder: Path) -> None:
    """Write ``split.npz`` (arrays) and ``split.json`` (the rest) into ``folder``, each whole or not at all."""
    arrays = {f"{part}.{column}": getattr(getattr(split, part), column) for part in _PARTS for column in _COLUMNS}
    if split.sample is not None:
        arrays["sample"] = split.sample
    texts = {
        "ids": split.catalog.ids,
        "titles": split.catalog.titles,
        "users": split.users,
        "facts": dict(split.facts),
        "sources": dict(split.sources),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomic(folder / "split.npz", buffer.getvalue())
    write_atomic(folder / "split.json", json.dumps(texts, ensure_ascii=False, indent=1).encode())


def load_split(folder: Path) -> Split:
    """Read what :func:`save_split` wrote, exactly.

    Raises:
        DataError: a file is missing, truncated or not of this format; names it.
    """
    path = folder / "split.json"
    try:
        texts = read_json(path)
        catalog = Catalog(tuple(texts["ids"]), tuple(texts["titles"]))
        users, facts, sources = tuple(texts["users"]), texts["facts"], texts["sources"]
        path = folder / "split.npz"
        with np.load(path, allow_pickle=False) as arrays:
            parts = {p: Sequences(**{c: arrays[f"{p}.{c}"] for c in _COLUMNS}) for p in _PARTS}
            sample = arrays.get("sample")
    except FileNotFoundError:
        raise DataError(f"{path} is missing: the prepared data is incomplete; prepare it again.") from None
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is truncated or damaged ({type(error).__name__}); prepare the data again.") from error
    return Split(catalog, users, **parts, sample=sample, facts=facts, sources=sources)
