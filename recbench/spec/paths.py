"""Options that name files: where they are on this machine, and what they hold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbench import registry
from recbench.errors import UsageError
from recbench.files import reason, sha256_path
from recbench.interfaces import Options
from recbench.spec.model import kinds, path_options
from recbench.spec.request import Request


def data_option(request: Request, source: str) -> dict[str, str]:
    """The option of a source that ``--data-dir`` fills: ``dir``, or ``file`` for one that reads a file.

    Raises:
        UsageError: the path does not exist, or the source reads no path.
    """
    assert request.data_dir is not None
    known = registry.get("source", source).options.model_fields
    path, origin = Path(request.data_dir).expanduser(), request.origin("data_dir", "--data-dir")
    said = f"{origin}{' ' if origin.startswith('--') else ': '}{request.data_dir}"
    if "dir" not in known and "file" not in known:
        raise UsageError(f"{said} does not apply: the data set {request.dataset!r} is not read from a path.")
    if not path.exists():
        raise UsageError(f"{said} does not exist.")
    if "dir" in known and (path.is_dir() or "file" not in known):
        if not path.is_dir():
            raise UsageError(f"{said} is a file, but the data set {request.dataset!r} is read from a folder.")
        return {"dir": str(path)}
    if not path.is_file():
        raise UsageError(f"{said} is a folder, but the data set {request.dataset!r} is read from a file.")
    return {"file": str(path)}


def split_paths(options: Options) -> tuple[Options, dict[str, str]]:
    """Options without paths of this machine, and the paths that were given, absolute.

    A text option that happens to name a file is one too; it keeps the file's name.
    """
    kept: dict[str, Any] = {}
    paths = {}
    marked = path_options(type(options))
    for name, field in type(options).model_fields.items():
        value = getattr(options, name)
        if name in marked:
            kept[name] = field.get_default()
            if value:
                paths[name] = os.path.abspath(Path(value).expanduser())
        elif isinstance(value, str) and str in kinds(field.annotation) and _is_file(value):
            kept[name], paths[name] = Path(value).name, os.path.abspath(Path(value).expanduser())
    return options.model_copy(update=kept), paths


def _is_file(text: str) -> bool:
    """Whether a text names a file, or a folder by more than one word: ``sasrec`` is a name, whatever lies here."""
    try:
        path = Path(text).expanduser()
        return path.is_file() or (os.sep in text and path.exists())
    except (OSError, ValueError, RuntimeError):  # too long for a path, a NUL in it, an unknown user
        return False


def file_digests(group: str, paths: Mapping[str, str]) -> dict[str, str]:
    """sha256 of each file that an option names.

    Raises:
        UsageError: one cannot be read.
    """
    found = {}
    for name, place in paths.items():
        try:
            found[name] = sha256_path(Path(place))
        except OSError as error:
            raise UsageError(f"{group}.{name}={place} cannot be read: {reason(error)}.") from error
    return found
